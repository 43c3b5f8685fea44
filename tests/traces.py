#!/usr/bin/env python3
"""Asks a collector that is not ours what a worker's traces look like, from the order's transaction to each platform's answer.

Starts a PostgreSQL of its own, the sandbox and the real worker, writes orders as an application does that has a trace, an
unsampled one, a malformed one or none, makes one try fail at each platform, and reads the spans that the collector received.
Needs the network once: the collector (PyPI: oteltap) is installed under target/.

    python3 tests/traces.py
"""
import asyncio
import collections
import contextlib
import glob
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "traces"
PACKAGES = ["oteltap==1.0.0"]
WORKER = ROOT / "target" / "debug" / "conversion-outbox"
SPAN = "00f067aa0ba902b7"
IS_REMOTE, HAS_IS_REMOTE, SAMPLED = 0x200, 0x100, 0x001
CONSENT = json.dumps({one: "granted" for one in ("ad_storage", "analytics_storage", "ad_user_data", "ad_personalization")})

# How the order's transaction tells its trace: as arguments, or, where the driver writes comments into statements
# (SQLCommenter), out of the statement itself. The README shows both.
BY_ARGUMENT = """
select conversion_outbox.enqueue(event_name => 'order_paid', business_id => '{order}', value => 49.90, currency => 'EUR',
  consent => '{consent}', user_data => '{{"email": "{order}@example.com", "phone": "+49 30 901820"}}',
  click_ids => '{{"fbp": "fb.1.1596403881668.1116446470", "ga_client_id": "{browser}.1700000000", "gclid": "Cj0-{order}", "li_fat_id": "df5-{order}"}}',
  properties => '{{"items": [{{"id": "SKU-7", "name": "Trail shoe", "price": 49.90, "quantity": 1}}]}}',
  traceparent => {traceparent}, tracestate => {tracestate})"""
BY_COMMENT = "substring(current_query() from $$traceparent='([0-9a-f-]+)'$$)"


def with_packages():
    """Runs this file again with the packages, installing them first where they are missing."""
    stamp = HOME / "installed"
    python = HOME / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != " ".join(PACKAGES):
        venv.create(HOME, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        stamp.write_text(" ".join(PACKAGES))
    subprocess.run(["cargo", "build", "--locked", "--quiet"], cwd=ROOT, check=True)
    return subprocess.run([python, __file__, "--installed"]).returncode


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what, asked, seconds=60):
    """Asks again and again; what is asked is another process, which tells nobody when it is ready."""
    end = time.monotonic() + seconds
    while not asked():
        if time.monotonic() > end:
            raise SystemExit(f"in vain: {what}")
        time.sleep(0.05)


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Postgres:
    """A throwaway server. It refuses to run as root, so that root lends it another account."""

    def __init__(self, stack):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        self.bin = found[-1] if found else os.path.dirname(shutil.which("initdb") or sys.exit("install postgresql"))
        self.port = free_port()
        folder = tempfile.mkdtemp(prefix="traces-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.lent = []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            self.lent = ["runuser", "-u", "postgres", "--"]
        data = f"{folder}/data"
        self.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-p {self.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "-D", data, "-l", f"{folder}/log", "-w", "-o", options, "start")
        stack.callback(self.run, "pg_ctl", "-D", data, "-m", "immediate", "stop")

    def run(self, program, *arguments):
        subprocess.run([*self.lent, f"{self.bin}/{program}", *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def url(self, login, database):
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement, login="postgres", database="shop"):
        command = [f"{self.bin}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.url(login, database), "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Sandbox:
    """The platforms' emulators."""

    def __init__(self, stack):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        process = subprocess.Popen([WORKER, "sandbox", "--listen", f"127.0.0.1:{self.port}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        until("the sandbox listens", lambda: listens(self.port))

    def fail_once(self, platform, event_id):
        fault = {"kind": "status", "status": 503, "times": 1, "platform": platform, "event_id": event_id}
        request = urllib.request.Request(f"{self.url}/_sandbox/faults", json.dumps(fault).encode(),
                                         {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=5).read()


def configuration(folder, postgres, sandbox, database, relation, port):
    def written(name, text):
        path = pathlib.Path(folder, name)
        path.write_text(text)
        return f'{{ file = "{path}" }}'

    token, url = written("token", "a-token-of-the-test"), written("url", postgres.url("my_worker", database))
    oauth = f'{{ client_id = "app", client_secret = {token}, refresh_token = {token} }}'
    google = f'oauth = {oauth}\ntoken_url = "{sandbox.url}/token"\nconversion_actions = {{ order_paid = "%s" }}'
    keys = {
        "meta": f'dataset_id = "1234567890"\naccess_token = {token}\nbatch_size = 1',
        "ga4": f'measurement_id = "G-ABC123"\napi_secret = {token}',
        "google_data_manager": f'operating_account = "1234567890"\nbatch_size = 1\n{google % "7712337565"}',
        "linkedin": f'ad_account = "512345678"\naccess_token = {token}\nrules = {{ order_paid = "104012" }}\nbatch_size = 1',
    }
    destinations = [f'[[destination]]\nname = "{name}"\nplatform = "{name}"\nbase_url = "{sandbox.url}"\n{lines}\n'
                    for name, lines in keys.items()]
    file = pathlib.Path(folder, "worker.toml")
    file.write_text(f"""
[database]
url = {url}
[worker]
backoff_initial_secs = 1
backoff_cap_secs = 1
[http]
listen = "127.0.0.1:{port}"
[telemetry]
log_level = "debug"
trace_relation = "{relation}"
otlp_metrics = true
{"".join(destinations)}""")
    return file


def attributes(of):
    return {one.key: one.value.string_value or one.value.int_value for one in of.attributes}


def links(span):
    return [(attributes(link)["conversion_outbox.link"], link.trace_id.hex(), link.span_id.hex()) for link in span.links]


class Seen:
    """What the collector received."""

    def __init__(self, spans):
        self.spans = spans
        self.below = collections.defaultdict(list)
        for span in spans:
            self.below[span.trace_id, span.parent_span_id].append(span)

    def tries(self, destination, order):
        found = [span for span in self.spans if span.name == f"process {destination}"
                 and attributes(span).get("messaging.message.id") == f"order_paid:{order}"]
        return sorted(found, key=lambda span: attributes(span)["conversion_outbox.attempt"])

    def children(self, span):
        return self.below[span.trace_id, span.span_id]


def trace_of(order):
    return order.encode().hex().ljust(32, "a")[:32]


ORDERS = {
    "sampled": f"'00-{trace_of('sampled')}-{SPAN}-01'",
    "unsampled": f"'00-{trace_of('unsampled')}-{SPAN}-00'",
    "comment": BY_COMMENT,
    "upper": f"'00-{'AB' * 16}-{SPAN}-01'",
    "zero": f"'00-{'0' * 32}-{SPAN}-01'",
    "long": f"'00-{trace_of('long')}-{SPAN}-01-{'x' * 5000}'",
    "garbage": "'no trace at all'",
    "bare": "null",
}
TRACED = ("sampled", "unsampled", "comment")
DESTINATIONS = ("meta", "ga4", "google_data_manager", "linkedin")
RETRIED = ("meta", "google_data_manager")


def write_orders(postgres, database):
    for number, (order, traceparent) in enumerate(ORDERS.items()):
        statement = BY_ARGUMENT.format(order=order, browser=f"12345678{number}", consent=CONSENT, traceparent=traceparent,
                                       tracestate="'shop=till-7'")
        if traceparent == BY_COMMENT:
            statement += f" /*traceparent='00-{trace_of(order)}-{SPAN}-01'*/"
        postgres.sql(statement, login="my_app", database=database)


def is_over(postgres, database):
    """Moves what waits to now, and says whether all is final."""
    postgres.sql("update conversion_outbox.delivery set due_at = now() where state = 'pending' and lease_until is null", database=database)
    postgres.sql("update conversion_outbox.request set due_at = now() where settled_at is null and lease_until is null", database=database)
    return postgres.sql(
        "select not exists (select from conversion_outbox.queue) and not exists (select from conversion_outbox.delivery"
        " where state = 'pending' or state = 'sent' and receipt is not null)", database=database) == "t"


async def play(postgres, sandbox, relation):
    """One worker's life with orders in it. Returns what the collector received of it."""
    from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

    database = f"shop_{relation}"
    postgres.sql(f"create database {database}", database="postgres")
    subprocess.run([WORKER, "migrate", "up", "--database-url-env", "DATABASE_URL"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "DATABASE_URL": postgres.url("postgres", database)})
    for login, role in (("my_app", "app"), ("my_worker", "worker")):
        postgres.sql(f"do $$ begin create role {login} login; exception when duplicate_object then null; end $$", database=database)
        postgres.sql(f"grant conversion_outbox_{role} to {login}", database=database)
    for destination in RETRIED:
        sandbox.fail_once(destination, "order_paid:sampled")

    collector_port, port = free_port(), free_port()
    spans, metrics = [], {}
    async with OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(http_port=collector_port)) as collector:
        async def keep_spans():
            async for span in collector.stream_traces():
                spans.append(span)

        async def keep_metrics():
            async for metric in collector.stream_metrics():
                metrics[metric.name] = metric

        keeping = [asyncio.create_task(keep_spans()), asyncio.create_task(keep_metrics())]
        with tempfile.TemporaryDirectory() as folder:
            file = configuration(folder, postgres, sandbox, database, relation, port)
            environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector_port}"}
            log = pathlib.Path(folder, "log")
            worker = subprocess.Popen([WORKER, "run", "--config", file], env=environment, stdout=log.open("w"), stderr=subprocess.STDOUT)
            try:
                write_orders(postgres, database)
                await asyncio.to_thread(until, "every order is told", lambda: is_over(postgres, database))
                scrape = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
            finally:
                worker.send_signal(signal.SIGTERM)
                code = await asyncio.to_thread(worker.wait, 30)
            assert code == 0, log.read_text()
            lines = [json.loads(line) for line in log.read_text().splitlines()]
        # The worker has flushed; what the collector holds comes out of it one by one.
        for _ in range(100):
            before = len(spans)
            await asyncio.sleep(0.3)
            if len(spans) == before and spans:
                break
        for task in keeping:
            task.cancel()
    return Seen(spans), metrics, scrape, lines


def judge_tries(seen, relation):
    """Each try: its place in the order's trace, and its request below it."""
    for order in ORDERS:
        for destination in DESTINATIONS:
            tries = seen.tries(destination, order)
            expected = 2 if order == "sampled" and destination in RETRIED else 1
            where = f"{relation} {destination} {order}"
            assert len(tries) == expected, (where, tries)
            first, last = tries[0], tries[-1]
            application = ("application", trace_of(order), SPAN)
            for one in tries:
                told = [link for link in links(one) if link[0] != "request"]
                of_application = [application] if order in TRACED else []
                is_retry_elsewhere = one is not first and relation == "link"
                earlier = [("earlier_try", first.trace_id.hex(), first.span_id.hex())] if is_retry_elsewhere else []
                assert told == of_application + earlier, (where, told)
                is_child = relation == "parent" and one is first and order in TRACED
                assert one.parent_span_id.hex() == (SPAN if is_child else ""), where
                if is_child:
                    assert one.trace_id.hex() == trace_of(order), where
                    assert one.flags & (IS_REMOTE | HAS_IS_REMOTE | SAMPLED) == 0x301, (where, hex(one.flags))
                    assert one.trace_state == "shop=till-7", where
                assert attributes(one)["messaging.system"] == "conversion_outbox" and one.kind == one.SPAN_KIND_CONSUMER
                [post] = seen.children(one)
                says = attributes(post)
                assert (post.name, post.kind) == ("POST", post.SPAN_KIND_CLIENT), where
                assert says["server.port"] == sandbox_port and "http.response.status_code" in says, says
                query = urllib.parse.urlsplit(says["url.full"]).query
                assert all(pair.endswith("=REDACTED") for pair in query.split("&") if pair), says
                assert bool(query) == (destination == "ga4"), "only GA4 has something to hide there"
                assert "a-token-of-the-test" not in str(post), "no secret"
            if expected == 2:
                assert attributes(seen.children(first)[0])["error.type"] == "503" and first.status.code == first.status.STATUS_CODE_ERROR
            assert attributes(last)["conversion_outbox.result_class"] in ("accepted", "sent"), where
            assert last.status.code == last.status.STATUS_CODE_UNSET, where


def judge_the_rest(seen, relation):
    """Claims, write-backs and what Google says later."""
    names = collections.Counter(span.name for span in seen.spans)
    known = {"receive conversion_outbox", "settle conversion_outbox", "UPDATE conversion_outbox.delivery", "POST", "GET"}
    assert set(names) == known | {f"process {name}" for name in DESTINATIONS}, names
    for span in seen.spans:
        if span.name == "receive conversion_outbox":
            assert attributes(span)["messaging.batch.message_count"] > 0 and not seen.children(span)
    claimed = {link[1] for span in seen.spans if span.name == "receive conversion_outbox" for link in links(span)}
    assert {trace_of(order) for order in TRACED} <= claimed, claimed
    written = {link[1:] for span in seen.spans if span.name == "settle conversion_outbox" for link in links(span)}
    answered = {link[1:] for span in seen.spans if span.name == "process google_data_manager"
                and "messaging.message.id" not in attributes(span) for link in links(span)}
    for order in ORDERS:
        tries = seen.tries("google_data_manager", order)
        # What is stored is a trace id: it leads to the try, or to the order's span where the try is told in the order's trace.
        is_in_order = relation == "parent" and order in TRACED and len(tries) == 1
        place = (trace_of(order), SPAN) if is_in_order else (tries[-1].trace_id.hex(), tries[-1].span_id.hex())
        assert place in answered and place in written, order
    for question in (span for span in seen.spans if span.name == "GET"):
        assert question.parent_span_id, "a question belongs to what it asks about"


def judge_logs(lines):
    about = [line for line in lines if "event_id" in line and "destination" in line]
    assert len(about) >= 2 * len(ORDERS) * len(DESTINATIONS), len(about)
    for line in about:
        assert len(line.get("trace_id", "")) == 32 and len(line.get("span_id", "")) == 16, line


def judge_metrics(metrics, scrape):
    points = metrics["conversion_outbox.deliveries"].sum.data_points
    pushed = {tuple(sorted(attributes(point).items())): point.as_int for point in points}
    compared = 0
    for line in scrape.splitlines():
        if line.startswith("conversion_outbox_deliveries_total{"):
            labels, number = line.removeprefix("conversion_outbox_deliveries_total{").split("} ")
            key = tuple(sorted(tuple(label.replace('"', "").split("=")) for label in labels.split(",")))
            assert pushed[key] == int(number), line
            compared += int(number)
    assert compared >= len(ORDERS) * len(DESTINATIONS), compared
    assert metrics["http.client.request.duration"].unit == "s"


async def main():
    global sandbox_port
    with contextlib.ExitStack() as stack:
        postgres, sandbox = Postgres(stack), Sandbox(stack)
        sandbox_port = sandbox.port
        for relation in ("parent", "link"):
            seen, metrics, scrape, lines = await play(postgres, sandbox, relation)
            judge_tries(seen, relation)
            judge_the_rest(seen, relation)
            judge_logs(lines)
            judge_metrics(metrics, scrape)
            print(f"{relation}: {len(seen.spans)} spans of {len(ORDERS)} orders at {len(DESTINATIONS)} destinations are where they belong")


if __name__ == "__main__":
    if sys.argv[1:] != ["--installed"]:
        sys.exit(with_packages())
    asyncio.run(main())
