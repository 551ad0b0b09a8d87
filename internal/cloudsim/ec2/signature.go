package ec2

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	stamp     = "20060102T150405Z"
	// skew is how far a request's clock may be off.
	skew = 5 * time.Minute
)

// A Key is what a caller signs with.
type Key struct {
	// Secret is required.
	Secret string
	// Session is the token that goes with a temporary key, and Expires when that
	// key ends; both zero for a key that lasts.
	Session string
	Expires time.Time
}

// An authorization is a request's Authorization header, taken apart.
type authorization struct {
	access, date, region, service string
	signed                        []string
	signature                     string
}

// parseAuthorization takes a header apart; false means that it is none of
// Signature Version 4.
func parseAuthorization(header string) (authorization, bool) {
	var a authorization
	rest, found := strings.CutPrefix(header, algorithm+" ")
	if !found {
		return a, false
	}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope := strings.Split(value, "/")
			if len(scope) != 5 || scope[4] != "aws4_request" {
				return a, false
			}
			a.access, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
		case "SignedHeaders":
			a.signed = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	return a, a.access != "" && a.signature != "" && slices.Contains(a.signed, "host")
}

// scope is what of the credential goes into what is signed.
func (a authorization) scope() string {
	return strings.Join([]string{a.date, a.region, a.service, "aws4_request"}, "/")
}

// verify says who signed the request, at a cloud whose clock says now, and for
// which region. Every refusal is one of the table in refusal.go.
func verify(r *http.Request, body []byte, now time.Time, keys func(access string) (Key, bool)) (authorization, *refusal) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return authorization{}, refuse(noSignature)
	}
	a, ok := parseAuthorization(header)
	if !ok {
		return a, refuse(badHeader)
	}
	at, err := time.Parse(stamp, r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != a.date {
		return a, refuse(badDate)
	}
	key, known := keys(a.access)
	session := r.Header.Get("X-Amz-Security-Token")
	switch {
	case !known || subtle.ConstantTimeCompare([]byte(session), []byte(key.Session)) != 1:
		return a, refuse(unknownKey)
	case a.service != "ec2":
		return a, refuse(otherScope)
	case unsigned(r.Header, a.signed) != "":
		return a, refuse(unsignedHeader)
	case !hmac.Equal([]byte(a.signature), []byte(a.sign(r, body, key.Secret, at))):
		return a, refuse(badSignature)
	case now.Sub(at) > skew:
		return a, refuse(signedLongAgo)
	case at.Sub(now) > skew:
		return a, refuse(signedAhead)
	case !key.Expires.IsZero() && !now.Before(key.Expires):
		return a, refuse(keyExpired)
	}
	return a, nil
}

// unsigned is a header that has to be signed and is not, or "".
func unsigned(header http.Header, signed []string) string {
	for name := range header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(signed, lower) {
			return name
		}
	}
	return ""
}

// sign is the signature that the request should have.
func (a authorization) sign(r *http.Request, body []byte, secret string, at time.Time) string {
	sum := sha256.Sum256([]byte(a.canonical(r, body)))
	text := strings.Join([]string{algorithm, at.Format(stamp), a.scope(), hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonical is the request as both ends write it before they sign.
func (a authorization) canonical(r *http.Request, body []byte) string {
	var b strings.Builder
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	b.WriteString(r.Method + "\n" + escape(path, "/") + "\n" + canonicalQuery(r.URL.RawQuery) + "\n")
	for _, name := range a.signed {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	sum := sha256.Sum256(body)
	b.WriteString("\n" + strings.Join(a.signed, ";") + "\n" + hex.EncodeToString(sum[:]))
	return b.String()
}

// headerValue is a header as it was signed. Go keeps two of them elsewhere.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

func canonicalQuery(raw string) string {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return raw // signs nothing that anybody would
	}
	var pairs []string
	for name, list := range values {
		for _, value := range list {
			pairs = append(pairs, escape(name, "")+"="+escape(value, ""))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape writes all but the unreserved characters of RFC 3986, and those of keep,
// as %XX.
func escape(s, keep string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-._~", c) >= 0, strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
