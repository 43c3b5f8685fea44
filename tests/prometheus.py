#!/usr/bin/env python3
"""Alerts and dashboards, against a real Prometheus that scrapes two real workers.

The rules are checked and tested by promtool. Then two workers serve a private PostgreSQL and the emulated platforms, with repeats,
refusals, an outage, a revoked token and a lost answer. Every query of every dashboard and every alert is put to that
Prometheus and must find something, and an alert must fire and tell a receiver what to do.

Needs prometheus and promtool (Debian: `apt-get install prometheus`), PostgreSQL, and the program.

    python3 tests/prometheus.py [PROGRAM]       default: target/debug/conversion-outbox
"""
import contextlib
import glob
import http.server
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
JOB = "conversion-outbox"
EVENTS = ("order_paid", "lead_created")

# What Grafana puts in place of its own variables, longest name first.
VARIABLES = [("$__rate_interval", "30s"), ("$__interval", "30s"), ("$__range", "5m"), ("$job", JOB), ("$destination", "meta|ga4|google|linkedin"),
             ("$event_type", "|".join((*EVENTS, "other")))]

# How many seconds something may take to come true.
PATIENCE = 45

CONFIGURATION = """
[database]
url = {{ env = "WORKER_URL" }}
[http]
listen = "127.0.0.1:{metrics}"
[admin]
listen = "127.0.0.1:{admin}"
[worker]
backoff_initial_secs = 1
backoff_cap_secs = 2
[telemetry]
environment = "test"

[[destination]]
name = "meta"
platform = "meta"
base_url = "{sandbox}"
dataset_id = "1234567890"
access_token = {{ env = "SECRET" }}
batch_size = 1
credential_expires = "2099-01-31"

[[destination]]
name = "ga4"
platform = "ga4"
base_url = "{sandbox}"
measurement_id = "G-ABC1234567"
api_secret = {{ env = "SECRET" }}

[[destination]]
name = "google"
platform = "google_data_manager"
base_url = "{sandbox}"
token_url = "{sandbox}/token"
operating_account = "1234567890"
oauth = {{ client_id = "client", client_secret = {{ env = "SECRET" }}, refresh_token = {{ env = "SECRET" }} }}
conversion_actions = {{ order_paid = "7712337565", lead_created = "7712337566" }}

[[destination]]
name = "linkedin"
platform = "linkedin"
base_url = "{sandbox}"
ad_account = "512345678"
access_token = {{ env = "SECRET" }}
rules = {{ order_paid = "104012", lead_created = "104013" }}

[[reconcile]]
name = "orders"
event = "order_paid"
query = "select id as business_id, paid_at as occurred_at, total as value, 'EUR' as currency from public.orders where paid_at >= $1 and paid_at < $2"
"""

# Three weeks of a shop whose application forgot to write most events: closed days that differ.
SHOP = """
create table public.orders (id text primary key, paid_at timestamptz not null, total numeric not null);
insert into public.orders
  select 'forgotten-' || n, now() - make_interval(hours => n * 6), 10 from generate_series(1, 84) n;
grant select on public.orders to outbox_worker;
"""

# $1 to $4: prefix of the ids, event name, how many, and what consent says.
ENQUEUE = """
select count(*) from generate_series(1, {count}) n, conversion_outbox.enqueue(
  event_name => '{name}', business_id => '{prefix}-' || n, event_id => '{prefix}-' || n, value => {value} + n, currency => 'EUR',
  consent => '{{"ad_storage": "{consent}", "analytics_storage": "{consent}", "ad_user_data": "{consent}", "ad_personalization": "{consent}",
                "given_at": "2026-11-23T09:12:44Z", "source": "cookie banner", "version": "7"}}',
  user_data => '{{"email": "ana@example.com", "external_id": "customer-77"}}',
  click_ids => '{{"gclid": "EAIaIQobChMI", "fbp": "fb.1.1596403881668.1116446470", "ga_client_id": "1234567890.1700000000"}}');
"""


def main():
    program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target" / "debug" / "conversion-outbox").resolve()
    for tool in ("prometheus", "promtool"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing. Fix: apt-get install -y --no-install-recommends prometheus")
    subprocess.run([sys.executable, ROOT / "deploy" / "grafana" / "dashboards.py", "--check"], check=True)
    subprocess.run(["promtool", "check", "rules", "rules.yml"], cwd=RULES, check=True)
    for tests in ("rules_test.yml", "rules_weeks_test.yml"):
        subprocess.run(["promtool", "test", "rules", tests], cwd=RULES, check=True)
    with contextlib.ExitStack() as world:
        folder = pathlib.Path(world.enter_context(tempfile.TemporaryDirectory(prefix="prometheus-test-")))
        try:
            stage = Stage(world, folder, program)
            failed = make_traffic(stage) + check_names(stage) + ask_everything(stage) + watch_alerts(stage)
        except InVain as in_vain:
            failed = [f"in vain: {in_vain}"]
        for one in failed:
            print(one, file=sys.stderr)
        for log in sorted(folder.glob("worker-*.log")) if failed else []:
            print(f"{log.name}:\n{''.join(log.read_text().splitlines(True)[-20:])}", file=sys.stderr)
    sys.exit(1 if failed else 0)


class InVain(Exception):
    """Something did not come true in time."""


# --- the stage ---

class Stage:
    """PostgreSQL, emulators, two workers, Prometheus and a receiver of alerts; all gone with `world`."""

    def __init__(self, world, folder, program):
        self.folder, self.program, self.began = folder, program, time.time()
        self.postgres = start_postgres(world, folder)
        self.psql("create role outbox_worker login")
        environment = {**os.environ, "OWNER_URL": self.url("postgres"), "WORKER_URL": self.url("outbox_worker"), "SECRET": "a-secret-of-the-test"}
        subprocess.run([program, "migrate", "up", "--database-url-env", "OWNER_URL"], env=environment, check=True, stdout=subprocess.DEVNULL)
        self.psql("grant conversion_outbox_worker to outbox_worker")
        self.psql(SHOP)
        self.sandbox = f"http://127.0.0.1:{free_port()}"
        self.start(world, "sandbox", [program, "sandbox", "--listen", self.sandbox.removeprefix("http://")])
        until(lambda: get(self.sandbox + "/_sandbox/faults") is not None, "the sandbox listens")
        self.ports = []
        for worker in "ab":
            port = free_port()
            config = folder / f"{worker}.toml"
            config.write_text(CONFIGURATION.format(metrics=port, admin=free_port(), sandbox=self.sandbox))
            self.start(world, f"worker-{worker}", [program, "run", "--config", config], environment)
            self.ports.append(port)
        self.receiver = Receiver(world)
        self.prometheus = f"http://127.0.0.1:{free_port()}"
        (folder / "prometheus.json").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "rules.yml")],
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in self.ports]}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self.receiver.port}"]}]}]}}))
        self.start(world, "prometheus", ["prometheus", f"--config.file={folder}/prometheus.json", f"--storage.tsdb.path={folder}/tsdb",
                                         f"--web.listen-address={self.prometheus.removeprefix('http://')}"])
        until(lambda: self.value("count(conversion_outbox_build_info)") == 2, "Prometheus scrapes both workers")
        until(lambda: self.value("min(count_over_time(conversion_outbox_build_info[1m]))") >= 2, "counters were seen at nought")

    def start(self, world, name, command, environment=None):
        """A process that ends with the world; its log is shown where something fails."""
        log = world.enter_context(open(self.folder / f"{name}.log", "w"))
        process = subprocess.Popen([str(part) for part in command], env=environment, stdout=log, stderr=log)

        def end():
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        world.callback(end)

    def url(self, role):
        return f"postgresql://{role}@127.0.0.1:{self.postgres}/postgres?sslmode=disable"

    def psql(self, sql):
        done = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url("postgres"), "-c", sql], capture_output=True, text=True)
        if done.returncode:
            raise InVain(f"{done.stderr}\nin {sql}")
        return done.stdout.strip()

    def fault(self, **rule):
        post(self.sandbox + "/_sandbox/faults", rule)

    def ask(self, query):
        """The result now: a list of labels and values, or an error's text."""
        return self.api("query", query=query)

    def over_time(self, query):
        return self.api("query_range", query=query, start=self.began, end=time.time(), step=2)

    def api(self, verb, **arguments):
        answer = get(f"{self.prometheus}/api/v1/{verb}?{urllib.parse.urlencode(arguments)}")
        if answer is None:
            return "no answer"
        return answer["data"]["result"] if answer["status"] == "success" else answer["error"]

    def value(self, query):
        """The only value, or NaN."""
        result = self.ask(query)
        return float(result[0]["value"][1]) if isinstance(result, list) and result else math.nan


def start_postgres(world, folder):
    """A private server that trusts this machine; its port. PostgreSQL refuses to run as root, so another account does then."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    home = pathlib.Path(found[-1] if found else shutil.which("initdb") or sys.exit("PostgreSQL is not installed")).parent
    as_account = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data, port = folder / "data", free_port()
    folder.chmod(0o755)
    data.mkdir()
    if as_account:
        shutil.chown(data, "postgres")
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([*as_account, home / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"], stderr=subprocess.DEVNULL, **quiet)
    options = f"-p {port} -h 127.0.0.1 -k {data} -F -c max_connections=60"
    subprocess.run([*as_account, home / "pg_ctl", "-D", data, "-l", data / "log", "-w", "-o", options, "start"], **quiet)
    world.callback(lambda: subprocess.run([*as_account, home / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet))
    return port


class Receiver:
    """Takes alerts as an Alertmanager does (POST /api/v2/alerts), and remembers them."""

    def __init__(self, world):
        self.alerts = []
        taken = self.alerts

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                taken.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        world.callback(server.shutdown)


# --- a bad day ---

def make_traffic(stage):
    """Everything that goes wrong once. Returns what did not become visible in time."""
    stage.fault(kind="linkedin_error", platform="linkedin", reason="REVOKED_ACCESS_TOKEN")
    stage.fault(kind="meta_error", platform="meta", code=100, event_id="refused-1")
    stage.fault(kind="reset_after", platform="ga4", event_name="generate_lead", times=1)

    def insert(prefix, name, count, consent="granted", value=100):
        stage.psql(ENQUEUE.format(prefix=prefix, name=name, count=count, consent=consent, value=value))
    # A series that begins with its first observation has no rate before the second.
    insert("first", "order_paid", 2)
    until(lambda: stage.value("sum(conversion_outbox_delivery_latency_seconds_count)") == 6, "the first orders were sent")
    stage.fault(kind="status", platform="meta", status=503, times=12)
    insert("order", "order_paid", 30)
    insert("order", "order_paid", 30)                           # webhooks come twice
    insert("order", "order_paid", 1, value=999)                 # and once with another amount
    insert("denied", "order_paid", 6, consent="denied")
    insert("unspecified", "order_paid", 4, consent="unspecified")
    insert("lead", "lead_created", 20)
    insert("refused", "lead_created", 1)
    insert("lost", "lead_created", 1)
    visible = [
        'sum(conversion_outbox_deliveries_total{destination="meta",state="accepted"}) >= 50',
        'sum(conversion_outbox_deliveries_total{destination="meta",state="rejected"}) == 1',
        'sum(conversion_outbox_deliveries_total{destination="ga4",state="uncertain"}) == 1',
        'sum(conversion_outbox_deliveries_total{destination="meta",state="suppressed"}) == 10',
        'sum(conversion_outbox_coverage_events_total{event_type="order_paid",signal="consent"}) == 42',
        'sum(conversion_outbox_delivery_latency_seconds_count{destination="google"}) == 54',
        'sum(conversion_outbox_http_responses_total{destination="meta",code="503"}) >= 1',
        'sum(conversion_outbox_circuit_transitions_total{destination="meta",to="open"}) >= 1',
        'max by (reason) (conversion_outbox_hold_info{destination="linkedin",reason="credential"}) == 1',
        # Both workers say the same of the database, so a sum would be double.
        'max(conversion_outbox_backlog{destination="linkedin",state="held"}) == 54',
        'sum(conversion_outbox_duplicates_total{source="enqueue"}) == 30',
        'sum(conversion_outbox_conflicts_total) == 1',
    ]
    return [f"never true: {query}; it is {stage.ask(re.split(' [>=]= ', query)[0])}" for query in visible
            if not comes_true(lambda query=query: not math.isnan(stage.value(query)))]


# --- every metric ---

def check_names(stage):
    """What promtool finds wrong with the page of a worker that has had a bad day: names, units, help."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{stage.ports[0]}/metrics", timeout=10).read()
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
    return [f"promtool check metrics: {line}" for line in (done.stdout + done.stderr).decode().splitlines() if done.returncode]


# --- every query ---

def ask_everything(stage):
    """Puts each query of dashboards and rules to Prometheus. Returns what is wrong."""
    failed, count = [], 0
    time.sleep(2)                                               # recording rules read what was scraped a moment ago
    for where, query, is_range in [*of_dashboards(), *of_rules(stage), *of_runbooks()]:
        count += 1
        for name, value in VARIABLES:
            query = query.replace(name, value)
        # This Prometheus knows no last week: it is asked of now.
        query = query.replace(" offset 1w", "")
        if "$" in re.sub(r'"[^"]*"', "", query):
            failed.append(f"{where}: a variable that is not known: {query}")
            continue
        result = stage.over_time(query) if is_range else stage.ask(query)
        if isinstance(result, str):
            failed.append(f"{where}: {result}: {query}")
        elif not any(is_finite(one) for one in result):
            failed.append(f"{where}: finds nothing: {query}")
    print(f"{count} queries, {len(failed)} failed")
    return failed


def of_dashboards():
    """Where, query, and whether it is drawn over time."""
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.name}: {panel['title']}", target["expr"], target["range"]
        for annotation in dashboard["annotations"]["list"]:
            yield f"{file.name}: annotation {annotation['name']}", loosened(annotation["expr"]), True
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
                yield f"{file.name}: variable {variable['name']}", f"group by ({label}) ({metric})", False


def of_rules(stage):
    groups = get(f"{stage.prometheus}/api/v1/rules")["data"]["groups"]
    for group in groups:
        for rule in group["rules"]:
            yield f"rules.yml: {rule['name']}", loosened(rule["query"]), False


def of_runbooks():
    """Blocks of promql: a query a line."""
    for file in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for block in re.findall(r"```promql\n(.*?)```", file.read_text(), re.S):
            for query in block.strip().splitlines():
                yield f"{file.name}: {query.strip()}", query.strip(), True


def loosened(query):
    """The same query with its conditions as values: it finds something exactly where all that it looks at is there."""
    parts = re.split(r'(\{[^}]*\})', query)
    for n in range(0, len(parts), 2):
        part = re.sub(r"\b(unless|or)\b", "and", parts[n].replace("absent(", "("))
        part = re.sub(r" offset \w+", "", part)
        parts[n] = re.sub(r"(>=|<=|==|!=|>|<)(?!\s*bool)", r"\1 bool", part)
    return "".join(parts)


def is_finite(one):
    values = one["values"] if "values" in one else [one["value"]]
    return any(math.isfinite(float(value)) for _, value in values)


# --- a real alert ---

def watch_alerts(stage):
    """One fires and says what to do, and what has no reason stays quiet. Returns what is wrong."""
    def taken():
        return [one for one in stage.receiver.alerts if one["labels"]["alertname"] == "ConversionOutboxDeadLetters"]
    if not comes_true(lambda: {one["labels"]["destination"] for one in taken()} == {"meta", "ga4"}):
        return [f"ConversionOutboxDeadLetters was not told for meta and ga4, but {stage.receiver.alerts}"]
    failed = []
    for alert in taken():
        runbook = ROOT / "docs" / "runbooks" / alert["annotations"]["runbook_url"].rsplit("/", 1)[1]
        if alert["labels"]["severity"] != "ticket" or alert["labels"]["job"] != JOB or not runbook.exists():
            failed.append(f"told wrongly: {alert}")
        if alert["labels"]["destination"] not in alert["annotations"]["summary"]:
            failed.append(f"does not say where: {alert}")
    active = {one["labels"]["alertname"]: one["state"] for one in get(f"{stage.prometheus}/api/v1/alerts")["data"]["alerts"]}
    # The token is revoked for real, and the alert takes a quarter of an hour; the rest of the bad day is over or too small.
    if active.pop("ConversionOutboxCircuitOpen", None) != "pending":
        failed.append("ConversionOutboxCircuitOpen does not wait for its quarter of an hour")
    if set(active) != {"ConversionOutboxDeadLetters"}:
        failed.append(f"alerts without a reason: {active}")
    print(f"told: {taken()[0]['annotations']['summary']}")
    return failed


# --- small things ---

def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(url):
    """The JSON of an answer, also of a refusal; None where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        try:
            return json.load(refusal)
        except ValueError:
            return None
    except OSError:
        return None


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def comes_true(condition, patience=PATIENCE):
    """Asks again and again; processes of others cannot be listened to."""
    until_when = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until_when:
            return False
        time.sleep(0.25)
    return True


def until(condition, what):
    if not comes_true(condition):
        raise InVain(what)


if __name__ == "__main__":
    main()
