"""`python -m netstat_cli` is `netcli`."""

from netstat_cli.cli import main

if __name__ == "__main__":
    main()
