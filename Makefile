.PHONY: run test check

run: ## install what is missing, then serve at http://127.0.0.1:8000
	@scripts/run

test: ## install what is missing, then the whole suite on MariaDB and on SQLite
	@scripts/test

check: ## formatting, lint, migrations and deployment settings
	@scripts/check
