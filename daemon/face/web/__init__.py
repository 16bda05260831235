"""The page: what glmd knows of trainings, nights and devices, for a browser.

A process of its own (`glmd web`, glmd-web.service) that only reads. Each page is whole as the server makes it; a small
script fills in what changes while it is looked at.

    process   sockets, uvicorn, and its end when nobody looks
    app       which URL is which view
    views/    a page each: what is known → a dataclass → a template
    live      one watcher, many streams
"""
