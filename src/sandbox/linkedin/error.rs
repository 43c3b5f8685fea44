//! LinkedIn's error answers, in the shapes that were seen: `{message,status}` of the resource, `{status,code,message}`
//! of the gateway, `{status,serviceErrorCode,code,message}` of the token check. Not for deciding what is wrong.

use serde_json::json;

use crate::sandbox::exchange::Reply;

/// A refusal that has a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coded {
    status: u16,
    pub(super) code: &'static str,
    service_code: Option<u32>,
    message: &'static str,
}

/// There is no token (`learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/error-handling`; the codes of this
/// and the next three as recorded answers show them).
pub(super) const EMPTY_TOKEN: Coded = Coded {
    status: 401,
    code: "EMPTY_ACCESS_TOKEN",
    service_code: Some(65_604),
    message: "Empty oauth2 access token",
};

/// Nobody issued the token.
pub(super) const INVALID_TOKEN: Coded = Coded {
    status: 401,
    code: "INVALID_ACCESS_TOKEN",
    service_code: Some(65_600),
    message: "Invalid access token",
};

/// The token was taken back.
pub(super) const REVOKED_TOKEN: Coded = Coded {
    status: 401,
    code: "REVOKED_ACCESS_TOKEN",
    service_code: Some(65_601),
    message: "The token used in the request has been revoked by the user",
};

/// The token's time is over.
pub(super) const EXPIRED_TOKEN: Coded = Coded {
    status: 401,
    code: "EXPIRED_ACCESS_TOKEN",
    service_code: Some(65_602),
    message: "The token used in the request has expired",
};

/// The token lacks a scope. The code is documented, the rest of the body is not.
pub(super) const NOT_AUTHORIZED: Coded = Coded {
    status: 403,
    code: "USER_NOT_AUTHORIZED",
    service_code: None,
    message: "The token lacks a permission that this call needs",
};

/// There is no `LinkedIn-Version` (measured).
pub(super) const VERSION_MISSING: Coded = Coded {
    status: 400,
    code: "VERSION_MISSING",
    service_code: None,
    message: "A version must be present. Please specify a version by adding the LinkedIn-Version header.",
};

/// The version has ended, or never was.
pub(super) const NONEXISTENT_VERSION: Coded = Coded {
    status: 426,
    code: "NONEXISTENT_VERSION",
    service_code: None,
    message: "Requested version is not active",
};

/// Too many requests.
const THROTTLED: Coded = Coded {
    status: 429,
    code: "TOO_MANY_REQUESTS",
    service_code: Some(101),
    message: "Resource level throttle limit for calls to this resource is reached.",
};

const ALL: [Coded; 8] = [
    EMPTY_TOKEN,
    INVALID_TOKEN,
    REVOKED_TOKEN,
    EXPIRED_TOKEN,
    NOT_AUTHORIZED,
    VERSION_MISSING,
    NONEXISTENT_VERSION,
    THROTTLED,
];

impl Coded {
    /// The answer.
    pub(super) fn reply(self) -> Reply {
        self.reply_with(self.message)
    }

    /// The answer with a message of its own.
    pub(super) fn reply_with(self, message: &str) -> Reply {
        let mut body = json!({"status": self.status, "code": self.code, "message": message});
        if let Some(code) = self.service_code {
            body["serviceErrorCode"] = code.into();
        }
        let reply = Reply::json(self.status, &body);
        if self == VERSION_MISSING {
            reply.with_header("x-restli-gateway-error", "true")
        } else {
            reply
        }
    }
}

/// A refusal by the resource itself.
pub(super) fn plain(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message, "status": status}))
}

/// Nothing lives at this path.
pub(super) fn not_found() -> Reply {
    let body = json!({"status": 404, "code": "RESOURCE_NOT_FOUND", "message": "No virtual resource found"});
    Reply::json(404, &body)
}

/// An error answer by script. A known code brings its own status and body; any other, or none, takes `status`, or 500.
pub(in crate::sandbox) fn scripted(status: Option<u16>, code: Option<&str>) -> Reply {
    let message = "Scripted by a fault rule of the sandbox";
    let status = status.unwrap_or(500);
    match (code, ALL.iter().find(|known| Some(known.code) == code)) {
        (_, Some(known)) => known.reply(),
        (Some(code), None) => {
            let body = json!({"status": status, "code": code, "message": message});
            Reply::json(status, &body)
        }
        (None, None) => plain(status, message),
    }
}
