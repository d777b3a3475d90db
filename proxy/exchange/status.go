package exchange

// StatusText returns the reason phrase of RFC 9110, section 15, or "Status" for
// a code that has none. net/http has the same list, and would bring its whole
// closure along.
func StatusText(status int) string {
	if status >= 100 && status < 600 {
		if s := reasons[status-100]; s != "" {
			return s
		}
	}
	return "Status"
}

var reasons = [500]string{
	0: "Continue", 1: "Switching Protocols", 3: "Early Hints",
	100: "OK", 101: "Created", 102: "Accepted", 103: "Non-Authoritative Information", 104: "No Content", 105: "Reset Content", 106: "Partial Content", 107: "Multi-Status",
	200: "Multiple Choices", 201: "Moved Permanently", 202: "Found", 203: "See Other", 204: "Not Modified", 207: "Temporary Redirect", 208: "Permanent Redirect",
	300: "Bad Request", 301: "Unauthorized", 302: "Payment Required", 303: "Forbidden", 304: "Not Found", 305: "Method Not Allowed", 306: "Not Acceptable",
	307: "Proxy Authentication Required", 308: "Request Timeout", 309: "Conflict", 310: "Gone", 311: "Length Required", 312: "Precondition Failed",
	313: "Content Too Large", 314: "URI Too Long", 315: "Unsupported Media Type", 316: "Range Not Satisfiable", 317: "Expectation Failed",
	321: "Misdirected Request", 322: "Unprocessable Content", 323: "Locked", 324: "Failed Dependency", 325: "Too Early", 326: "Upgrade Required",
	328: "Precondition Required", 329: "Too Many Requests", 331: "Request Header Fields Too Large", 351: "Unavailable For Legal Reasons",
	400: "Internal Server Error", 401: "Not Implemented", 402: "Bad Gateway", 403: "Service Unavailable", 404: "Gateway Timeout", 405: "HTTP Version Not Supported",
	406: "Variant Also Negotiates", 407: "Insufficient Storage", 408: "Loop Detected", 411: "Network Authentication Required",
}
