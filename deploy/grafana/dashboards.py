#!/usr/bin/env python3
"""Writes the Grafana dashboards beside this file: delivery.json, coverage.json, reconciliation.json.

Import the JSON; this file is for whoever changes them. Counters are summed over workers. What every worker reads from the same
database is the same everywhere: `max by`, never `sum`, and only of workers whose statistics are fresh.

    python3 deploy/grafana/dashboards.py            writes them
    python3 deploy/grafana/dashboards.py --check    fails if a file is not what this would write
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"

# Deliveries that may be told, and did not arrive or not for certain.
FAILED = "rejected|uncertain|exhausted|expired"
DEAD = "rejected|uncertain|exhausted"
KEPT = "suppressed|skipped|cancelled"

JOB = 'job=~"$job"'
AT = f'{JOB},destination=~"$destination"'
OF = f'{JOB},event_type=~"$event_type"'
AT_OF = f'{AT},event_type=~"$event_type"'


# --- queries ---

def rate(metric, labels=AT, by="destination", window="$__rate_interval"):
    return f"sum by ({by}) (rate(conversion_outbox_{metric}{{{labels}}}[{window}]))"


def total(metric, labels=AT, by="destination", window="$__range"):
    over = f"sum by ({by})" if by else "sum"
    return f"{over} (increase(conversion_outbox_{metric}{{{labels}}}[{window}]))"


def current(metric, by="destination", labels=AT):
    """A gauge that every worker reads from the database, of workers that still do."""
    fresh = "time() - conversion_outbox_snapshot_timestamp_seconds < 300"
    return f"max by ({by}) (conversion_outbox_{metric}{{{labels}}} and on (job, instance) {fresh})"


def quantile(q, metric, labels=AT, by="", window="$__rate_interval"):
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({groups}) (rate({metric}_bucket{{{labels}}}[{window}])))"


def in_time(by, window):
    """Share of the deliveries that may be told which reached the platform within 15 minutes."""
    over = f"sum by ({by})" if by else "sum"
    return (f'{over} (increase(conversion_outbox_delivery_latency_seconds_bucket{{{AT},le="900.0"}}[{window}]))'
            f" / ({total('delivery_latency_seconds_count', by=by, window=window)}"
            f""" + {total('deliveries_total', f'{AT},state=~"{FAILED}"', by, window)})""")


def share(labels, by, window):
    """Share of events that carry what the labels ask for; of consent, that have it granted."""
    return (total("coverage_events_total", f'{labels},value=~"present|granted"', by, window)
            + " / " + total("coverage_events_total", labels, by, window))


# --- panels ---

def target(query, legend="", ref="A", instant=False, form=None):
    one = {"refId": ref, "datasource": SOURCE, "editorMode": "code", "expr": query, "legendFormat": legend or "__auto",
           "instant": instant, "range": not instant}
    if form:
        one["format"] = form
    return one


def steps(*pairs):
    """Colours from a value on; the first from the beginning."""
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for colour, value in pairs]}


def page(title, path):
    return {"title": title, "url": "${pages}" + path, "targetBlank": True}


def panel(kind, title, about, targets, unit="short", width=8, height=8, thresholds=None, options=None, custom=None,
          links=(), mappings=(), overrides=(), decimals=None, low=None, high=None, colour=None, transformations=()):
    defaults = {"unit": unit, "thresholds": thresholds or steps((GREEN, None)), "mappings": list(mappings),
                "color": {"mode": colour or "palette-classic"}, "custom": custom or {}, "links": list(links)}
    for key, value in (("decimals", decimals), ("min", low), ("max", high)):
        if value is not None:
            defaults[key] = value
    # An increase over a step needs two scrapes within it.
    step = {"interval": "2m"} if any("$__interval" in one["expr"] for one in targets) else {}
    return {"type": kind, "title": title, "description": about, "datasource": SOURCE, "targets": targets, **step,
            "fieldConfig": {"defaults": defaults, "overrides": list(overrides)}, "options": options or {},
            "transformations": list(transformations), "gridPos": {"w": width, "h": height}}


def stat(title, about, query, unit="short", thresholds=None, width=3, links=(), decimals=None, none=None):
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
               "graphMode": "none", "justifyMode": "auto", "textMode": "value", "orientation": "auto"}
    mappings = [{"type": "special", "options": {"match": "null+nan", "result": {"text": none, "index": 0}}}] if none else []
    return panel("stat", title, about, [target(query, instant=True)], unit, width, 4, thresholds, options, links=links,
                 decimals=decimals, colour="thresholds", mappings=mappings)


def series(title, about, queries, unit="short", width=8, stack=False, thresholds=None, bars=False, percent=False, **rest):
    custom = {"drawStyle": "bars" if bars else "line", "lineWidth": 1, "fillOpacity": 60 if stack or bars else 10,
              "showPoints": "never", "spanNulls": False, "axisSoftMin": 0,
              "stacking": {"mode": "percent" if percent else "normal" if stack else "none", "group": "A"},
              "thresholdsStyle": {"mode": "dashed" if thresholds else "off"}}
    options = {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    targets = [target(query, legend, chr(ord("A") + n)) for n, (query, legend) in enumerate(queries)]
    return panel("timeseries", title, about, targets, unit, width, 8, thresholds, options, custom, low=0, **rest)


def table(title, about, queries, width=12, height=8, overrides=(), transformations=(), unit="short", thresholds=None, cell="auto", **rest):
    targets = [target(query, "", chr(ord("A") + n), instant=True, form="table") for n, query in enumerate(queries)]
    return panel("table", title, about, targets, unit, width, height, thresholds, {"showHeader": True, "cellHeight": "sm"},
                 {"align": "auto", "cellOptions": {"type": cell}}, overrides=overrides, transformations=transformations,
                 colour="thresholds", **rest)


def bars(title, about, query, legend, unit="short", width=8, thresholds=None, **rest):
    options = {"displayMode": "basic", "orientation": "horizontal", "showUnfilled": True, "valueMode": "color",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return panel("bargauge", title, about, [target(query, legend, instant=True)], unit, width, 8, thresholds, options, low=0,
                 colour="thresholds", **rest)


def columns(hidden, names):
    """Puts the columns of several queries side by side, without those that say nothing, and names them."""
    hidden = {name: True for name in ("Time", *hidden)}
    return [{"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": names}}]


def of_column(name, **properties):
    return {"matcher": {"id": "byName", "options": name},
            "properties": [{"id": key, "value": value} for key, value in properties.items()]}


# --- dashboards ---

def chosen(name, label, query, about):
    return {"name": name, "label": label, "description": about, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"], "selected": True}, "options": [], "hide": 0}


def text_box(name, label, value, about):
    return {"name": name, "label": label, "description": about, "type": "textbox", "query": value,
            "current": {"text": value, "value": value}, "options": [{"text": value, "value": value, "selected": True}], "hide": 0}


VARIABLES = {
    "datasource": {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1,
                   "regex": "", "multi": False, "includeAll": False, "current": {}, "options": [], "hide": 0},
    "job": chosen("job", "Installation", "label_values(conversion_outbox_build_info, job)", "One job is one installation."),
    "destination": chosen("destination", "Destination", f"label_values(conversion_outbox_circuit_state{{{JOB}}}, destination)",
                          "As the configuration names them."),
    "event_type": chosen("event_type", "Event", f"label_values(conversion_outbox_coverage_events_total{{{JOB}}}, event_type)",
                         "What the configuration does not name is other."),
    "pages": text_box("pages", "Built-in pages", "http://127.0.0.1:9465", "Where the admin listener is reached from a browser."),
    "runbooks": text_box("runbooks", "Runbooks", "https://runbooks.example.com/conversion-outbox", "Where docs/runbooks is published."),
}


def outward(title, url, about):
    return {"type": "link", "title": title, "url": url, "tooltip": about, "icon": "external link", "targetBlank": True, "tags": [],
            "asDropdown": False, "includeVars": False, "keepTime": False}


def annotation(name, query, title, colour, enabled=True):
    return {"name": name, "enable": enabled, "hide": False, "iconColor": colour, "datasource": SOURCE, "expr": query, "step": "60s",
            "titleFormat": title, "textFormat": "", "tagKeys": "destination", "useValueForTime": False}


ANNOTATIONS = [
    annotation("Circuit opens", f'sum by (destination) (increase(conversion_outbox_circuit_transitions_total{{{AT},to="open"}}[1m])) > 0',
               "{{destination}}: circuit opened", RED),
    annotation("Circuit closes", f'sum by (destination) (increase(conversion_outbox_circuit_transitions_total{{{AT},to="closed"}}[1m])) > 0',
               "{{destination}}: circuit closed", GREEN),
    annotation("Workers start", f"count(conversion_outbox_build_info{{{JOB}}}) > count(conversion_outbox_build_info{{{JOB}}} offset 1m)",
               "A worker started", BLUE, enabled=False),
]


def dashboard(name, title, about, rows, first_page):
    """Rows of panels, laid out from left to right; a row's panels fill its lines."""
    panels, y = [], 0
    for heading, row in rows:
        panels.append({"type": "row", "title": heading, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y, x, height = y + 1, 0, 0
        for one in row:
            place = one["gridPos"]
            if x + place["w"] > 24:
                x, y, height = 0, y + height, 0
            place.update(x=x, y=y)
            x, height = x + place["w"], max(height, place["h"])
            panels.append(one)
        y += height
    for number, one in enumerate(panels, 1):
        one["id"] = number
    return {
        "uid": f"conversion-outbox-{name}", "title": title, "description": about, "tags": ["conversion-outbox"], "schemaVersion": 39,
        "version": 1, "editable": True, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-24h", "to": "now"},
        "timezone": "", "liveNow": False, "fiscalYearStartMonth": 0, "weekStart": "",
        "templating": {"list": list(VARIABLES.values())}, "annotations": {"list": ANNOTATIONS},
        "links": [
            {"type": "dashboards", "title": "Dashboards", "tags": ["conversion-outbox"], "asDropdown": False, "includeVars": True,
             "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""},
            outward("Built-in pages", "${pages}" + first_page, "One event, one business id, one dead letter at a time"),
            outward("Runbooks", "${runbooks}/README.md", "What to do when an alert fires"),
        ],
        "panels": panels,
    }


CIRCUIT = [{"type": "value", "options": {"0": {"text": "closed", "color": GREEN, "index": 0},
                                         "1": {"text": "half-open", "color": ORANGE, "index": 1},
                                         "2": {"text": "open", "color": RED, "index": 2}}}]
DEAD_LETTERS = page("Dead letters", "/dead-letters?destination=${__field.labels.destination}")
ERRORS = page("Errors", "/errors?destination=${__field.labels.destination}")
DESTINATIONS = page("Destinations", "/destinations")

GLANCE = [
    stat("In time", "Of the deliveries that may be told, the share that reached the platform within 15 minutes of the row, in the time shown. The objective "
         "is 99 %. Failures and what came later count against it; what consent or routes keep at home does not count at all.",
         in_time("", "$__range"), "percentunit", steps((RED, None), (ORANGE, 0.97), (GREEN, 0.99)), decimals=2, none="no traffic"),
    stat("Taken", "Deliveries that platforms took in the time shown, each counted once (conversion_outbox_delivery_latency_seconds_count).",
         total("delivery_latency_seconds_count", by=""), "short", steps((BLUE, None)), decimals=0),
    stat("Dead letters", "Deliveries that ended as rejected, uncertain or exhausted in the time shown. They stay until a person replays or skips them.",
         total("deliveries_total", f'{AT_OF},state=~"{DEAD}"', ""), "short", steps((GREEN, None), (ORANGE, 0.5)), decimals=0,
         links=[page("Dead letters", "/dead-letters")]),
    stat("Waiting", "Deliveries that are not final, read from the database (conversion_outbox_backlog).",
         f"sum ({current('backlog', 'destination, state')})", "short", steps((BLUE, None)), decimals=0),
    stat("Oldest due", "How long the longest due delivery has been due. More than 15 minutes with a closed circuit is ConversionOutboxStalled.",
         f"max ({current('oldest_due_age_seconds')})", "s", steps((GREEN, None), (ORANGE, 300), (RED, 900))),
    stat("Soon too old", "Deliveries that their platform will refuse as too old within 24 hours (conversion_outbox_expiring_deliveries). What expires is lost.",
         f"sum ({current('expiring_deliveries')})", "short", steps((GREEN, None), (RED, 1)), decimals=0),
    stat("Circuits open", "Destinations that do not answer, throttle, are held or paused: their circuit is open in at least one worker.",
         f"sum (max by (destination) (conversion_outbox_circuit_state{{{AT}}}) == bool 2)", "short", steps((GREEN, None), (RED, 1)), decimals=0,
         links=[DESTINATIONS]),
    stat("Workers", "Running workers that Prometheus scrapes (conversion_outbox_build_info).", f"count (conversion_outbox_build_info{{{JOB}}})", "short",
         steps((RED, None), (GREEN, 1)), decimals=0),
]

DELIVERY = [
    ("At a glance", GLANCE),
    ("Deliveries", [
        series("Deliveries by state", "Deliveries that entered a final state, a second (conversion_outbox_deliveries_total). Sent is final where the platform never "
               "confirms; where it does so later, the same delivery is counted again as accepted.",
               [(rate("deliveries_total", AT_OF, "state"), "{{state}}")], "cps", stack=True, bars=True),
        series("Taken by destination", "Deliveries that the platform took, a second, each counted once.",
               [(rate("delivery_latency_seconds_count"), "{{destination}}")], "cps", links=[ERRORS]),
        series("Dead letters", "New dead letters by destination and state. rejected: wrong for good; uncertain: may have arrived, and a repeat might count twice; exhausted: "
               "attempts or age used up.", [(total("deliveries_total", f'{AT_OF},state=~"{DEAD}"', "destination, state", "$__interval"), "{{destination}} {{state}}")],
               "short", stack=True, bars=True, links=[DEAD_LETTERS]),
        series("From row to platform, 95 %", "95 of 100 deliveries were taken within this time, from creation of the row, not its commit (conversion_outbox_delivery_latency_seconds). "
               "The line is the objective of 15 minutes.", [(quantile(0.95, "conversion_outbox_delivery_latency_seconds", by="destination"), "{{destination}}")], "s",
               thresholds=steps((GREEN, None), (RED, 900)), links=[ERRORS]),
        series("From row to platform, all", "Half, 95 and 99 of 100 deliveries of all destinations chosen.",
               [(quantile(q, "conversion_outbox_delivery_latency_seconds"), name) for q, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))], "s"),
        series("Budget burnt", "How fast the error budget of 1 % is used up, over the last hour: at 1 it lasts just 30 days, at 14.4 two days. "
               "ConversionOutboxDeliverySloFastBurn fires from 14.4.", [(f"(1 - {in_time('destination', '1h')}) / 0.01", "{{destination}}")], "none",
               thresholds=steps((GREEN, None), (ORANGE, 1), (RED, 14.4)), links=[ERRORS]),
    ]),
    ("Platforms", [
        series("Answers by code", "Answers of platforms by HTTP status; none means that no answer came (conversion_outbox_http_responses_total). A 200 can still refuse "
               "events: see results.", [(rate("http_responses_total", by="code"), "{{code}}")], "reqps", stack=True, bars=True, links=[page("Errors", "/errors")]),
        series("Answers that are no success", "By destination and code: 401 and 403 ask for a person, 429 is throttling, 5xx and none is an outage.",
               [(rate("http_responses_total", f'{AT},code!~"2.."', "destination, code"), "{{destination}} {{code}}")], "reqps", links=[ERRORS]),
        series("Results of attempts", "How tries of deliveries ended (conversion_outbox_attempts_total). hold asks for a person; ambiguous means that the answer was lost.",
               [(rate("attempts_total", by="result"), "{{result}}")], "cps", stack=True, bars=True),
        series("Request time, 95 %", "95 of 100 requests ended within this time, by host (http_client_request_duration_seconds).",
               [(quantile(0.95, "http_client_request_duration_seconds", JOB, "server_address"), "{{server_address}}")], "s"),
        series("Repeated tries", "Tries of deliveries that had been tried before (conversion_outbox_retries_total).", [(rate("retries_total"), "{{destination}}")], "cps", links=[ERRORS]),
        series("Requests under way", "Requests on their way, over all workers (conversion_outbox_inflight).",
               [(f"sum by (destination) (conversion_outbox_inflight{{{AT}}})", "{{destination}}")]),
        panel("state-timeline", "Circuits", "Closed: deliveries go. Half-open: probed, or beginning again step by step. Open: down, throttled, held or paused "
              "(conversion_outbox_circuit_state, the worst of all workers).", [target(f"max by (destination) (conversion_outbox_circuit_state{{{AT}}})", "{{destination}}")],
              "none", 12, 8, steps((GREEN, None), (ORANGE, 1), (RED, 2)), {"showValue": "never", "mergeValues": True, "rowHeight": 0.8,
              "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "single", "sort": "none"}},
              {"fillOpacity": 80, "lineWidth": 0}, [DESTINATIONS], CIRCUIT, colour="thresholds"),
        table("Held and paused", "Destinations that wait for a person, and why (conversion_outbox_hold_info). Empty is well. The page Destinations says what to do.",
              [current("hold_info", "job, destination, reason")], 6, transformations=columns(["Value"], {"job": "installation"}),
              links=[page("Destinations", "/destinations")]),
        table("Held rules", "Conversion actions or rules that the platform does not know or has switched off (conversion_outbox_held_rules). Their events wait.",
              [current("held_rules")], 6, transformations=columns([], {"Value": "held rules"}), thresholds=steps((GREEN, None), (RED, 1)),
              cell="color-text", links=[DESTINATIONS]),
        table("What ends", "Time until a credential that a person must replace ends (conversion_outbox_credential_expiry_timestamp_seconds), and until the platform switches the configured version "
              "of its API off (conversion_outbox_api_version_expiry_timestamp_seconds). Empty where nobody knows.",
              [f"min by (destination) (conversion_outbox_credential_expiry_timestamp_seconds{{{AT}}}) - time()",
               f"min by (destination) (conversion_outbox_api_version_expiry_timestamp_seconds{{{AT}}}) - time()"], 8,
              transformations=columns([], {"Value #A": "credential", "Value #B": "API version"}), unit="dtdurations",
              thresholds=steps((RED, None), (ORANGE, 7 * 86400), (GREEN, 30 * 86400)), cell="color-text"),
        series("Notices", "What platforms said beside their verdict: a version about to end, a count that does not add up (conversion_outbox_notices_total). The log has the advice.",
               [(total("notices_total", by="destination, notice", window="$__interval"), "{{destination}} {{notice}}")], "short", bars=True, stack=True),
        series("Obeyed by workers", "1 while the destination waits for a person or a new credential, as workers obey it, at most a second behind the record (conversion_outbox_destination_held).",
               [(f"max by (destination) (conversion_outbox_destination_held{{{AT}}})", "{{destination}}")], links=[DESTINATIONS], high=1, decimals=0),
    ]),
    ("Queue", [
        series("Backlog by state", "Deliveries that are not final: due, to be retried, waiting for another event or time, leased by a worker, held "
               "(conversion_outbox_backlog, from the database).", [(f"sum by (state) ({current('backlog', 'destination, state')})", "{{state}}")], stack=True),
        series("Backlog by destination", "Deliveries that are not final, by destination, from the database.", [(f"sum by (destination) ({current('backlog', 'destination, state')})", "{{destination}}")], links=[ERRORS]),
        series("Soon too old", "Deliveries that are too old for the platform within 24 hours (conversion_outbox_expiring_deliveries).",
               [(current("expiring_deliveries"), "{{destination}}")], thresholds=steps((GREEN, None), (RED, 1))),
        series("Oldest due", "How long the longest due delivery has been due (conversion_outbox_oldest_due_age_seconds).",
               [(current("oldest_due_age_seconds"), "{{destination}}")], "s", thresholds=steps((GREEN, None), (RED, 900))),
        series("Oldest open", "Age of the oldest event that is not final, also when it waits on purpose (conversion_outbox_oldest_open_age_seconds).",
               [(current("oldest_open_age_seconds"), "{{destination}}")], "s"),
        series("Since the last sign", "Since the newest event was recorded, since a worker last looked for work, and since one last wrote results or could have "
               "(conversion_outbox_heartbeat_timestamp_seconds). Enqueued grows in a quiet night; the others must not.",
               [(f"time() - max by (stage) (conversion_outbox_heartbeat_timestamp_seconds{{{JOB}}})", "{{stage}}")], "s"),
        series("Looks for work", "Claims by what they found (conversion_outbox_polls_total): empty is idle, full is busy, error is the database.",
               [(rate("polls_total", JOB, "result"), "{{result}}")], "ops", stack=True, bars=True),
        series("Time of a claim", "Half and 95 of 100 claim statements took so long (conversion_outbox_claim_duration_seconds).",
               [(quantile(q, "conversion_outbox_claim_duration_seconds", JOB), name) for q, name in ((0.5, "median"), (0.95, "95 %"))], "s"),
        series("Events in a claim", "Mean size of a claim that found any (conversion_outbox_claim_batch_size).",
               [(f"sum (rate(conversion_outbox_claim_batch_size_sum{{{JOB}}}[$__rate_interval])) / sum (rate(conversion_outbox_claim_batch_size_count{{{JOB}}}[$__rate_interval]))", "events")]),
    ]),
    ("Workers", [
        series("Database connections", "Of all workers' pools: idle, busy, and the limit (conversion_outbox_pool_connections). Busy at the limit for long: raise pool_size.",
               [(f"sum by (state) (conversion_outbox_pool_connections{{{JOB}}})", "{{state}}")]),
        series("Lost and late", "Leases that ran out, so a worker crashed or hung (conversion_outbox_lease_expired_total); results that came after their lease was lost "
               "(conversion_outbox_late_settlements_total).",
               [(total("lease_expired_total", JOB, "", "$__interval"), "leases ran out"), (total("late_settlements_total", JOB, "", "$__interval"), "late results")], bars=True),
        series("Results not yet written", "Results kept in memory because the database did not take them yet (conversion_outbox_unwritten_results). Nothing is claimed meanwhile.",
               [(f"sum by (instance) (conversion_outbox_unwritten_results{{{JOB}}})", "{{instance}}")]),
        series("Age of statistics", "Since each worker last read the gauges of the database (conversion_outbox_snapshot_timestamp_seconds). Beyond 5 minutes: ConversionOutboxStatisticsStale.",
               [(f"time() - conversion_outbox_snapshot_timestamp_seconds{{{JOB}}}", "{{instance}}")], "s", thresholds=steps((GREEN, None), (RED, 300))),
        series("Personal data removed", "Events whose personal data were removed because their time was over, a second (conversion_outbox_retention_removed_events_total).",
               [(rate("retention_removed_events_total", JOB, "job"), "removed")], "cps"),
        series("Removal overdue", "For how long the oldest personal data should have been looked at for removal (conversion_outbox_retention_oldest_overdue_seconds).",
               [(f"max (conversion_outbox_retention_oldest_overdue_seconds{{{JOB}}})", "overdue")], "s"),
        series("Kept out, and lost spans", "Requests that the admin listener did not let in (conversion_outbox_admin_refusals_total), and what the collector did not take: batches of spans "
               "(conversion_outbox_span_export_failures_total), spans, those for which the queue had no room among them (conversion_outbox_spans_lost_total), and "
               "exports of metrics (conversion_outbox_metric_export_failures_total).",
               [(rate("admin_refusals_total", JOB, "reason"), "admin: {{reason}}"), (rate("span_export_failures_total", JOB, "job"), "span batches lost"),
                (rate("spans_lost_total", JOB, "job"), "spans lost"), (rate("metric_export_failures_total", JOB, "job"), "exports of metrics lost")], "cps"),
        table("Running", "What runs where (conversion_outbox_build_info).", [f"conversion_outbox_build_info{{{JOB}}}"], 16,
              transformations=columns(["Value", "__name__"], {"job": "installation", "schema_version": "schema"})),
    ]),
]


def signal(name):
    return f'{OF},signal="{name}"'


SHARES = steps((RED, None), (ORANGE, 0.4), (GREEN, 0.7))

COVERAGE = [
    ("Of all events in the time shown", [
        stat("Events", "Events decided for the first time (conversion_outbox_coverage_events_total).", total("coverage_events_total", signal("consent"), ""), "short",
             steps((BLUE, None)), 4, decimals=0),
        *[stat(title, about, share(signal(name), "", "$__range"), "percentunit", SHARES, 4, decimals=1, none="no events") for title, name, about in (
            ("With click id", "click_id", "Share of events with the id of a click on an advertisement. Depends on where orders come from; look for changes."),
            ("With e-mail", "email", "Share of events with an e-mail address, which most platforms match by."),
            ("With phone", "phone", "Share of events with a phone number."),
            ("With external id", "external_id", "Share of events with an id of the application's own, such as a customer number."),
            ("Consent granted", "consent", "Share of events whose consent on record is granted; denied and unspecified are the rest."))],
    ]),
    ("What events carry", [
        table("By event", "Share of the events of each name that carry it, in the time shown; of consent, that have it granted. The denominator is all events of that name.",
              [share(f'{OF}', "event_type, signal", "$__range")], 12, 9, unit="percentunit", thresholds=SHARES, cell="color-background", decimals=0,
              transformations=[{"id": "groupingToMatrix", "options": {"columnField": "signal", "rowField": "event_type", "valueField": "Value", "emptyValue": "null"}}]),
        series("Share over time", "Share of events that carry it, over an hour, all chosen events together.", [(share(OF, "signal", "1h"), "{{signal}}")], "percentunit", 12, high=1),
        series("E-mail by event", "Share with an e-mail address, over an hour. A sudden drop is a form, a tag or a release of the shop.",
               [(share(signal("email"), "event_type", "1h"), "{{event_type}}")], "percentunit", high=1),
        series("Click id by event", "Share with a click id, over an hour. A sudden drop is a redirect that loses parameters, or the end of a campaign.",
               [(share(signal("click_id"), "event_type", "1h"), "{{event_type}}")], "percentunit", high=1),
        series("Against the same hour last week", "By how much the share is above (positive) or below last week's. ConversionOutboxCoverageDrop fires 20 points below.",
               [(f"({share(OF, 'event_type, signal', '1h')}) - ({share(OF, 'event_type, signal', '1h').replace('[1h]', '[1h] offset 1w')})", "{{event_type}} {{signal}}")], "percentunit"),
        series("Consent", "Events by the consent on record, in per cent (conversion_outbox_coverage_events_total). Unspecified counts as no unless a destination is configured otherwise.",
               [(rate("coverage_events_total", signal("consent"), "value"), "{{value}}")], "short", 12, stack=True, percent=True, bars=True),
        series("Events by name", "Events decided for the first time, a second, by name.", [(rate("coverage_events_total", signal("consent"), "event_type"), "{{event_type}}")], "cps", 12, stack=True, bars=True),
    ]),
    ("What becomes of them", [
        table("By destination", "In the time shown: what platforms took (each delivery once), what they confirmed, what stayed at home (suppressed, skipped, cancelled) and what failed (rejected, "
              "uncertain, exhausted, expired).",
              [total("delivery_latency_seconds_count"), total("deliveries_total", f'{AT_OF},state="accepted"'), total("deliveries_total", f'{AT_OF},state=~"{KEPT}"'),
               total("deliveries_total", f'{AT_OF},state=~"{FAILED}"')], 12, transformations=columns([], {"Value #A": "taken", "Value #B": "confirmed", "Value #C": "kept at home",
               "Value #D": "failed"}), decimals=0, overrides=[of_column("failed", **{"thresholds": steps((GREEN, None), (ORANGE, 1)), "custom.cellOptions": {"type": "color-text"}})],
              links=[page("Coverage", "/coverage")]),
        bars("Why not told", "Deliveries that ended as suppressed, skipped or expired in the time shown, by reason (conversion_outbox_suppressed_total). Consent is people's choice; no_identifier is "
             "the shop's.", f"sort_desc({total('suppressed_total', by='reason')})", "{{reason}}", width=12, thresholds=steps((BLUE, None))),
        series("Kept at home by destination", "Share of the deliveries decided that ended as suppressed, over an hour.",
               [(total("deliveries_total", f'{AT_OF},state="suppressed"', window="1h") + " / " + total("deliveries_total", AT_OF, window="1h"), "{{destination}}")], "percentunit", 12, high=1,
               links=[page("Coverage", "/coverage?destination=${__field.labels.destination}")]),
        series("Why not told, over time", "Deliveries that ended as suppressed, skipped or expired, a second, by reason.", [(rate("suppressed_total", by="reason"), "{{reason}}")], "cps", 12, stack=True, bars=True),
    ]),
]

PAIR = "destination, event_type"
DIFFERENCE = f"max by ({PAIR}) (conversion_outbox_reconciliation_difference{{{AT_OF}}})"
SOURCE_COUNT = f"max by ({PAIR}) (conversion_outbox_reconciliation_source{{{AT_OF}}})"
GAP = f"max by ({PAIR}) (abs(conversion_outbox_reconciliation_difference{{{AT_OF}}})) / {SOURCE_COUNT}"
GAPS = steps((GREEN, None), (ORANGE, 0.02), (RED, 0.05))
BY_DAY = page("By day and business id", "/reconciliation")

RECONCILIATION = [
    ("Closed days, against the application's own tables", [
        stat("Largest gap", "The largest share by which a destination differs from the application's own number, of closed days. 5 % is ConversionOutboxReconciliationGap.",
             f"max ({GAP})", "percentunit", GAPS, 6, [page("Reconciliation", "/reconciliation")], 1, "nothing compared"),
        stat("Lacking", "Business events that destinations lack, over destinations and events (the positive conversion_outbox_reconciliation_difference).",
             f"sum (clamp_min({DIFFERENCE}, 0))", "short", steps((GREEN, None), (ORANGE, 1)), 6, decimals=0, none="nothing compared"),
        stat("Beyond", "Conversions that destinations have beyond the application's business events: counted twice, or not from here.",
             f"sum (clamp_min(-{DIFFERENCE}, 0))", "short", steps((GREEN, None), (ORANGE, 1)), 6, decimals=0, none="nothing compared"),
        stat("Last closed day", "How long ago the last day ended that was compared with final numbers of the platform, the longest of all destinations "
             "(conversion_outbox_reconciliation_last_closed_day_timestamp_seconds).",
             f"time() - min (max by (destination) (conversion_outbox_reconciliation_last_closed_day_timestamp_seconds{{{AT}}}))", "s",
             steps((GREEN, None), (ORANGE, 4 * 86400), (RED, 8 * 86400)), 6, none="nothing compared"),
        table("By destination and event", "Of closed days: the application's own number, what the destination lacks (negative: has beyond it), and the share.",
              [SOURCE_COUNT, DIFFERENCE, GAP], 12, 9, transformations=columns([], {"Value #A": "own number", "Value #B": "lacking", "Value #C": "gap"}), decimals=0,
              overrides=[of_column("gap", **{"unit": "percentunit", "decimals": 1, "thresholds": GAPS, "custom.cellOptions": {"type": "color-background"}})],
              links=[page("Reconciliation", "/reconciliation")]),
        series("Gap over time", "The same share as it was found from day to day.", [(GAP, "{{destination}} {{event_type}}")], "percentunit", 12,
               thresholds=steps((GREEN, None), (RED, 0.05)), links=[BY_DAY]),
    ]),
    ("Where differences come from", [
        series("Repeats", "Repeats of an event that were seen and not delivered again, by where: the application wrote it again (enqueue), a lost worker had sent it (dispatch), "
               "the platform knew it (platform) (conversion_outbox_duplicates_total).", [(rate("duplicates_total", JOB, "source"), "{{source}}")], "cps"),
        series("Conflicts", "Events written again with other content; the first one stands (conversion_outbox_conflicts_total). The application contradicts itself.",
               [(total("conflicts_total", JOB, "", "$__interval"), "conflicts")], bars=True),
        series("Taken unseen", "Events that a platform took without looking at them, as GA4 does: no answer says whether they count (conversion_outbox_unverified_accepts_total).",
               [(rate("unverified_accepts_total"), "{{destination}}")], "cps"),
        series("In doubt", "Answers lost (attempts that ended as ambiguous), and deliveries that ended as uncertain because a repeat might count twice.",
               [(total("attempts_total", f'{AT},result="ambiguous"', window="$__interval"), "{{destination}} answer lost"),
                (total("deliveries_total", f'{AT_OF},state="uncertain"', window="$__interval"), "{{destination}} uncertain")], bars=True, stack=True, links=[DEAD_LETTERS]),
        series("Failed", "Deliveries that the destination lacks because they were refused, given up or too old.",
               [(total("deliveries_total", f'{AT_OF},state=~"rejected|exhausted|expired"', "destination, state", "$__interval"), "{{destination}} {{state}}")], bars=True, stack=True,
               links=[DEAD_LETTERS]),
        series("Kept at home", "Deliveries that the destination lacks on purpose, by reason.",
               [(total("suppressed_total", by="reason", window="$__interval"), "{{reason}}")], bars=True, stack=True),
    ]),
]

DASHBOARDS = {
    "delivery": ("Conversion outbox: delivery", "Whether events reach the platforms, in time, and what keeps them.", DELIVERY, "/"),
    "coverage": ("Conversion outbox: coverage", "How many events platforms can match, with which consent, and what becomes of them.", COVERAGE, "/coverage"),
    "reconciliation": ("Conversion outbox: reconciliation", "What platforms count against what the application knows, and where differences come from.", RECONCILIATION, "/reconciliation"),
}


def main():
    stale = []
    for name, (title, about, rows, first_page) in DASHBOARDS.items():
        text = json.dumps(dashboard(name, title, about, rows, first_page), indent=2, ensure_ascii=False) + "\n"
        file = HERE / f"{name}.json"
        if sys.argv[1:] == ["--check"]:
            stale += [file.name] if not file.exists() or file.read_text() != text else []
        else:
            file.write_text(text)
    if stale:
        sys.exit(f"not what dashboards.py writes: {', '.join(stale)}. Fix: python3 deploy/grafana/dashboards.py")


if __name__ == "__main__":
    main()
