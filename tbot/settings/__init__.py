"""The settings as a user meets them: files and their places, line numbers, words for every option, schema, new files.

Layer 5, beside `tbot.config`, which turns documents into values. What an option is (type, default, bounds) stands in
the structs of the packages that use it and nowhere else; here is only what it means.
"""
