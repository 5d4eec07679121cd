.PHONY: run test bench check drill

run: ## install what is missing, then serve at http://127.0.0.1:8000
	@scripts/run

test: ## install what is missing, then the whole suite on MariaDB and on SQLite
	@scripts/test

bench: ## what every call costs, among up to a million people: some twenty minutes
	@scripts/bench

drill: ## break the running service and count what is lost; hunt it with generated calls
	@scripts/drill

check: ## formatting, lint, migrations, OpenAPI document and deployment settings
	@scripts/check
