"""How a message leaves: by webhook and by mail with the standard library, to a chat's robot with Apprise.

All of it runs in a child that ends after one message: it has the network and a secret, and nothing else.
"""
