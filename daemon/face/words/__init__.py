"""What glmd says to people in their language: English and Chinese, for messages and for the page.

en.toml and zh.toml have the same keys, and so have page_en.toml and page_zh.toml, with what only the page says. What a
known error means stands in handlers in English, and in zh_errors.toml in Chinese.
"""
