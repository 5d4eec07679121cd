.DEFAULT_GOAL := help
.PHONY: help run test test-page quick check drill drill-calls drill-leaks drill-mails drill-backup drill-metrics \
	drill-container drill-platforms drill-cluster drill-deploy bench bench-events bench-sqlite bench-peers

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

run: ## install what is missing, prepare the database, and serve at http://127.0.0.1:8000
	@scripts/run

test: ## run the whole suite on a MariaDB server of its own, then what uses the database on SQLite
	@scripts/test

test-page: ## run all tests of the chat page in a browser, also those that take long, on SQLite: three minutes
	@QUICK=1 SLOW=1 scripts/test main/web

quick: ## run one test file on SQLite, in seconds: make quick FILE=main/users/tests/test_login.py
	@QUICK=1 scripts/test $(FILE)

check: ## check formatting, lint, types, migrations, the OpenAPI document and deployment settings
	@scripts/check

drill: ## kill and stall the running service, count what is lost; call it with thousands of generated requests
	@scripts/drill

drill-calls: ## call the running service with four times as many generated requests, others each time: ten minutes and more
	@scripts/install tests
	@scripts/with-mariadb env/bin/python main/drills/generated_calls.py --max-examples 400

drill-leaks: ## try to learn hidden addresses, as a stranger among 10 000 people: some minutes
	@scripts/install tests
	@scripts/with-mariadb env/bin/python main/drills/run.py leaks

drill-mails: ## kill the server while it sends mails; a mail server that is slow or away; strangers who ask: two minutes
	@scripts/install tests
	@MARIADB_OPTIONS=--innodb-flush-log-at-trx-commit=1 scripts/with-mariadb env/bin/python main/drills/run.py mails

drill-cluster: ## start a whole cluster on the loopback interface from deploy/cluster, break it, count: seven minutes
	@scripts/install cluster || true # what is missing then is said by the drill, which is skipped
	@env/bin/python main/drills/cluster/run.py

drill-backup: ## back up under load, restore into an empty database, compare; kills, broken files, a full disk: minutes
	@scripts/drill-backup

drill-container: ## build the image and run it and compose.yaml, without a registry and without Docker, as root: some minutes
	@scripts/drill-container

drill-platforms: ## run the Procfile with the settings of platforms, on a database with TLS: some minutes
	@scripts/drill-platforms

drill-metrics: ## read the metrics with Prometheus, under load, while processes and the database are killed: one minute
	@scripts/install tests
	@scripts/install metrics
	@scripts/with-mariadb env/bin/python main/drills/run.py metrics

drill-deploy: ## run deploy/install on a bare Debian machine in a container, upgrade and break it under load: a quarter of an hour
	@scripts/drill-deploy

bench: ## measure what every call costs, among up to a million people, and events: about half an hour
	@scripts/bench run.py
	@scripts/bench events.py

bench-events: ## measure how fast events arrive, and what 10 000 open streams cost: about ten minutes
	@scripts/bench events.py

bench-peers: ## measure it beside Matrix Synapse, which it installs into ~/.cache/chat-server-peers: about ten minutes
	@scripts/bench peers.py $(OPTIONS)

bench-sqlite: ## measure how long 8 who send at once wait on SQLite: three minutes
	@scripts/install tests
	@env/bin/python main/benchmarks/sqlite.py
