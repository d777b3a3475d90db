package auth

// Visible reports whether token has only characters of a bearer token (RFC 6750,
// section 2.1, and what else servers are known to use). Who is asked about another
// may read it as none: blanks, those of Unicode too, are cut off on the way.
func Visible(token string) bool {
	for i := 0; i < len(token); i++ {
		if c := token[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
