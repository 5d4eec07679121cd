.PHONY: run test bench check

run: ## install what is missing, then serve at http://127.0.0.1:8000
	@scripts/run

test: ## install what is missing, then the whole suite on MariaDB and on SQLite
	@scripts/test

bench: ## what every call costs, among up to a million people: most of an hour
	@scripts/bench

check: ## formatting, lint, migrations and deployment settings
	@scripts/check
