from piwik_import.cli import main

main()
