"""The web page: one page on the loopback address that shows the engine, and can stop it but never start it.

`guard` decides who may look and who may act, `source` gathers what is shown, `panels` and `chart` turn it into HTML and
chart options, `page` puts them on the screen (NiceGUI), `actions` runs the command line's own commands.
"""
