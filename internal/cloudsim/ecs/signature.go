package ecs

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the protocol signs with it
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	stamp = "2006-01-02T15:04:05Z"
	// skew is how far a request's clock may be off, and how long a nonce is known.
	skew = 15 * time.Minute
)

// A Key is what a caller signs with.
type Key struct {
	// Secret is required.
	Secret string
	// Token goes with a temporary key, and Expires is when that ends; both zero for
	// a key that lasts.
	Token   string
	Expires time.Time
}

// verify says whether the request is signed by whom it names, now, and for the first
// time. Every refusal is one of the table in refusal.go.
func (f *Face) verify(method string, values url.Values) *refusal {
	for _, name := range []string{"AccessKeyId", "Signature", "SignatureNonce", "Timestamp", "SignatureMethod"} {
		if values.Get(name) == "" {
			return refuse(incomplete, name)
		}
	}
	key, known := f.opts.Keys(values.Get("AccessKeyId"))
	at, err := time.Parse(stamp, values.Get("Timestamp"))
	now := f.opts.Cloud.Clock()
	text := toSign(method, values)
	switch {
	case values.Get("SignatureMethod") != "HMAC-SHA1" || values.Get("SignatureVersion") != "1.0":
		return refuse(otherMethod)
	case err != nil:
		return refuse(badTime)
	case !known:
		return refuse(unknownKey)
	case subtle.ConstantTimeCompare([]byte(values.Get("SecurityToken")), []byte(key.Token)) != 1:
		return refuse(badToken)
	case !hmac.Equal([]byte(values.Get("Signature")), []byte(Sign(key.Secret, method, values))):
		return refuse(badSignature, text)
	case now.Sub(at).Abs() > skew:
		return refuse(oldTime)
	case !key.Expires.IsZero() && !now.Before(key.Expires):
		return refuse(expiredToken)
	case !f.nonces.fresh(values.Get("AccessKeyId")+" "+values.Get("SignatureNonce"), now):
		return refuse(usedNonce)
	}
	return nil
}

// Sign is the signature that a request of these parameters should have; one that is
// among them is left out.
func Sign(secret, method string, values url.Values) string {
	h := hmac.New(sha1.New, []byte(secret+"&"))
	h.Write([]byte(toSign(method, values)))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// toSign is the request as both ends write it before they sign.
func toSign(method string, values url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name != "Signature" {
			pairs = append(pairs, escape(name)+"="+escape(values.Get(name)))
		}
	}
	return method + "&%2F&" + escape(strings.Join(pairs, "&"))
}

var escaper = strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~")

// escape writes all but the unreserved characters of RFC 3986 as %XX.
func escape(s string) string {
	s = url.QueryEscape(s)
	return escaper.Replace(s)
}

// nonces are those that were used lately.
type nonces struct {
	mu   sync.Mutex
	seen map[string]time.Time
	last time.Time // when it was cleaned
}

func newNonces() *nonces { return &nonces{seen: map[string]time.Time{}} }

// fresh says whether nobody has used the nonce, and remembers it.
func (n *nonces) fresh(nonce string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.last) > time.Minute {
		n.last = now
		maps.DeleteFunc(n.seen, func(_ string, at time.Time) bool { return now.Sub(at).Abs() > 2*skew })
	}
	_, used := n.seen[nonce]
	n.seen[nonce] = now
	return !used
}
