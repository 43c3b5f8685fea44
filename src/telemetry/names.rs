//! Every OpenTelemetry name this program uses, in one place, so that a change of the conventions is a change of one file.
//!
//! Semantic conventions v1.44.0. Its HTTP, database and PostgreSQL parts are stable; its messaging part is still
//! "Development" and may change names (`open-telemetry/semantic-conventions`, `docs/messaging`). Metric names are
//! Prometheus names and live in `metrics`.

/// The version of the conventions these names are from, as a schema URL for resource and scope.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

// Resource (`docs/resource`).
/// The same for all replicas.
pub const SERVICE_NAME: &str = "service.name";
/// The version of this program.
pub const SERVICE_VERSION: &str = "service.version";
/// One replica: a pod uid or a random id.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
/// `production`, `staging`, …
pub const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";

// Messaging (`docs/messaging/messaging-spans.md`, Development).
/// Always [`SYSTEM`].
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// `receive`, `process` or `settle`, as text of our own.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// `receive`, `process` or `settle`, from the list of the conventions.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The outbox when receiving and settling, the destination when processing.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// How many rows one span covers.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// The event id.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// The business id.
pub const MESSAGING_MESSAGE_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// Our value for [`MESSAGING_SYSTEM`], and the name of the outbox as a messaging destination.
pub const SYSTEM: &str = "conversion_outbox";

// Our own.
/// The event name of the row, e.g. `order_paid`.
pub const EVENT_TYPE: &str = "conversion_outbox.event_type";
/// Number of this attempt, from 1.
pub const ATTEMPT: &str = "conversion_outbox.attempt";
/// The outcome of the attempt, e.g. `accepted`, `retry`.
pub const RESULT_CLASS: &str = "conversion_outbox.result_class";
/// Why a delivery ended without a request, e.g. `consent_denied`.
pub const REASON: &str = "conversion_outbox.reason";
/// On a link, what it leads to: [`APPLICATION`], [`EARLIER_TRY`], [`DELIVERY`] or [`REQUEST`].
pub const LINK: &str = "conversion_outbox.link";
/// The span of the business transaction that wrote the row.
pub const APPLICATION: &str = "application";
/// The span of the try before this one.
pub const EARLIER_TRY: &str = "earlier_try";
/// A delivery that a request, a write-back or a late answer is about.
pub const DELIVERY: &str = "delivery";
/// The request that carried this delivery together with others.
pub const REQUEST: &str = "request";
/// The platform's own number of a request, for a question to its support.
pub const PLATFORM_REQUEST_ID: &str = "conversion_outbox.platform_request_id";

// HTTP client (`docs/http/http-spans.md`, stable).
/// Also the name of the span.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// Status code of the answer, an integer.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// Host of the platform.
pub const SERVER_ADDRESS: &str = "server.address";
/// Port, also where it is the default of the scheme.
pub const SERVER_PORT: &str = "server.port";
/// Scrubbed: see `redact::scrub_url`.
pub const URL_FULL: &str = "url.full";
/// Before the lower-case name of an answer's header.
pub const HTTP_RESPONSE_HEADER: &str = "http.response.header";
/// A status code as text, `timeout`, `connect`, `tls`, or another word of a short closed list.
pub const ERROR_TYPE: &str = "error.type";

// Database client (`docs/db/database-spans.md` and `postgresql.md`, stable).
/// Always `postgresql`.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// What the statement does to which table, never its text; also the name of the span.
pub const DB_QUERY_SUMMARY: &str = "db.query.summary";
/// SQLSTATE of a failed statement.
pub const DB_RESPONSE_STATUS_CODE: &str = "db.response.status_code";
