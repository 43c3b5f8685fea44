#!/usr/bin/env bash
# The pages in a real browser: started as an operator starts them, on a private PostgreSQL with a month of everything, and
# looked at in light, dark and on a phone, with and without JavaScript.
#
#   tests/browser.sh               the checks
#   tests/browser.sh errors event  only of these pages
#   tests/browser.sh --screens     takes the pictures in docs/screens instead
#   tests/browser.sh --serve       only serves the pages, until Ctrl-C
#
# Installs chromium where it is missing, and what drives it into target/browser. Which pages there are is said by
# tests/browser/pages.json.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

command -v npm >/dev/null || { echo "npm is needed: install Node.js" >&2; exit 1; }
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$chromium" ]; then
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends chromium fonts-liberation
  chromium=$(command -v chromium)
fi
tools=$root/target/browser
if [ ! -d "$tools/node_modules/@axe-core/playwright" ]; then
  npm install --silent --no-audit --no-fund --prefix "$tools" playwright-core@1 @axe-core/playwright@4
fi
cargo build --locked --quiet
program=$root/target/debug/conversion-outbox

bin=${CONVERSION_OUTBOX_PG_BINDIR:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)}
[ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb)")
folder=$(mktemp -d)
chmod 755 "$folder"
# A server refuses to run as root.
as_server() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
if [ "$(id -u)" = 0 ]; then install -d -o postgres -m 700 "$folder/data"; else install -d -m 700 "$folder/data"; fi

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
database_port=$(free_port)
admin_port=$(free_port)
http_port=$(free_port)
worker=
stop() {
  [ -z "$worker" ] || { kill -INT "$worker" 2>/dev/null || true; wait "$worker" 2>/dev/null || true; }
  as_server "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
trap "exit 130" INT TERM

as_server "$bin/initdb" -D "$folder/data" -U postgres -A trust --no-sync >/dev/null
as_server "$bin/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w \
  -o "-p $database_port -k $folder/data -c listen_addresses=127.0.0.1 -c fsync=off" start >/dev/null
server="postgresql://postgres@127.0.0.1:$database_port"
export DATABASE_URL="$server/postgres"

printf 'a-token-of-nobody' > "$folder/token"
printf 'postgresql://worker_login@127.0.0.1:%s/postgres' "$database_port" > "$folder/database.url"
printf 'postgresql://operator_login@127.0.0.1:%s/postgres' "$database_port" > "$folder/admin.url"
node -e '
const { privateKey } = require("crypto").generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = privateKey.export({ type: "pkcs8", format: "pem" });
console.log(JSON.stringify({ type: "service_account", client_email: "nobody@example.com", private_key: key, token_uri: "http://127.0.0.1:9/token" }));
' > "$folder/google.json"
cat > "$folder/config.toml" <<TOML
[database]
url = { file = "$folder/database.url" }
[telemetry]
environment = "example shop"
log_level = "warn"
[http]
listen = "127.0.0.1:$http_port"
[admin]
listen = "127.0.0.1:$admin_port"
database_url = { file = "$folder/admin.url" }
[[destination]]
name = "meta"
platform = "meta"
base_url = "http://127.0.0.1:9"
dataset_id = "100200300400500"
access_token = { file = "$folder/token" }
[[destination]]
name = "ga4"
platform = "ga4"
base_url = "http://127.0.0.1:9"
measurement_id = "G-TEST123"
api_secret = { file = "$folder/token" }
[[destination]]
name = "google"
platform = "google_data_manager"
base_url = "http://127.0.0.1:9"
token_url = "http://127.0.0.1:9/token"
operating_account = "1234567890"
service_account = { file = "$folder/google.json" }
conversion_actions = { order_paid = "7712337565", lead_created = "7712337566" }
[[destination]]
name = "linkedin"
platform = "linkedin"
base_url = "http://127.0.0.1:9"
ad_account = "508000000"
access_token = { file = "$folder/token" }
rules = { order_paid = "104012", lead_created = "104013" }
TOML

"$program" --config "$folder/config.toml" migrate up --database-url-env DATABASE_URL >/dev/null
psql -qX -v ON_ERROR_STOP=1 "$DATABASE_URL" -c 'create role worker_login login in role conversion_outbox_worker' \
  -c 'create role operator_login login in role conversion_outbox_operator'
psql -qX -v ON_ERROR_STOP=1 "$DATABASE_URL" -f tests/browser/seed.sql
"$program" --config "$folder/config.toml" run > "$folder/worker.log" 2>&1 &
worker=$!
for _ in $(seq 100); do
  curl -fsS -o /dev/null "http://127.0.0.1:$http_port/readyz" 2>/dev/null && break
  kill -0 "$worker" 2>/dev/null || { cat "$folder/worker.log"; exit 1; }
  sleep 0.1
done

if [ "${1:-}" = --serve ]; then
  echo "http://127.0.0.1:$admin_port"
  wait "$worker"
  exit
fi
NODE_PATH="$tools/node_modules" CHROMIUM=$chromium SITE="http://127.0.0.1:$admin_port" TOOLS=$tools \
  node tests/browser/pages.mjs "$@" || { tail -5 "$folder/worker.log"; exit 1; }
