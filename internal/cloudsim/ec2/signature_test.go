package ec2

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// botocore is an implementation of Signature Version 4 by other hands; Debian
// has it. The script signs what it is given and prints it.
const botocore = `
import json, sys
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
out = []
for c in json.load(sys.stdin):
    r = AWSRequest(method=c["method"], url=c["url"], data=c["body"].encode(), headers=c["headers"])
    SigV4Auth(Credentials(c["access"], c["secret"], c["session"] or None), c["service"], c["region"]).add_auth(r)
    p = r.prepare()
    h = {k: v.decode() if isinstance(v, bytes) else v for k, v in p.headers.items()}
    out.append({"method": p.method, "url": p.url, "headers": h, "body": c["body"]})
json.dump(out, sys.stdout)
`

// A toSign is what botocore shall sign; a signed is what comes of it.
type toSign struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
	Access  string            `json:"access"`
	Secret  string            `json:"secret"`
	Session string            `json:"session"`
	Service string            `json:"service"`
	Region  string            `json:"region"`
}

type signed struct {
	Method, URL, Body string
	Headers           map[string]string
}

func sign(t *testing.T, all []toSign) []signed {
	t.Helper()
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", botocore)
	cmd.Stdin = bytes.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sign with botocore (Debian's python3-botocore): %v\n%s", err, stderr.String())
	}
	var done []signed
	if err := json.Unmarshal(out, &done); err != nil || len(done) != len(all) {
		t.Fatalf("%v: %s", err, out)
	}
	return done
}

// request is the signed one as the server sees it.
func (s signed) request(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), s.Method, s.URL, strings.NewReader(s.Body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range s.Headers {
		r.Header.Set(name, value)
	}
	return r
}

func plain() toSign {
	return toSign{
		Method: "POST", URL: "http://127.0.0.1:8080/", Body: "Action=DescribeVpcs&Version=2016-11-15",
		Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
		Access:  "AKIATEST", Secret: "secret/+=", Service: "ec2", Region: "eu-central-1",
	}
}

func with(change func(*toSign)) toSign {
	s := plain()
	change(&s)
	return s
}

func testKeys(expires time.Time) func(string) (Key, bool) {
	return func(access string) (Key, bool) {
		switch access {
		case "AKIATEST":
			return Key{Secret: "secret/+="}, true
		case "ASIATEST":
			return Key{Secret: "other", Session: "token/+==", Expires: expires}, true
		}
		return Key{}, false
	}
}

// What botocore signs is taken, however it is written.
func TestSignaturesOfAnotherHand(t *testing.T) {
	t.Parallel()
	names := []string{"plain", "session", "unicode", "path", "odd path", "query", "header", "region", "empty"}
	all := sign(t, []toSign{
		plain(),
		with(func(s *toSign) { s.Access, s.Secret, s.Session = "ASIATEST", "other", "token/+==" }),
		with(func(s *toSign) {
			s.Body = "Action=CreateTags&Tag.1.Value=Gr%C3%BC%C3%9Fe%2B+%2A~ü%0A"
			s.Headers["Amz-Sdk-Request"] = "attempt=1; max=3"
		}),
		with(func(s *toSign) { s.URL = "http://[::1]:8080/ec2/x" }),
		with(func(s *toSign) { s.URL = "http://localhost/a%20b/~c+d" }),
		with(func(s *toSign) {
			s.Method, s.Body, s.URL = "GET", "", "http://127.0.0.1/?Version=2016-11-15&Action=DescribeVpcs&Filter.1.Name=a%20b%2A~&Empty="
		}),
		with(func(s *toSign) { s.Headers["X-Amz-Note"] = "  two   blanks " }),
		with(func(s *toSign) { s.Region = "us-east-1" }),
		with(func(s *toSign) { s.Body = "" }),
	})
	for i, s := range all {
		t.Run(names[i], func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			who, no := verify(s.request(t), []byte(s.Body), now, testKeys(now.Add(time.Minute)))
			if no != nil {
				t.Fatalf("%s: %s\n%+v", no.code, no.message, s)
			}
			if who.access == "" || who.region == "" {
				t.Errorf("signed by %+v", who)
			}
		})
	}
}

// What is wrong with a signature is told apart, by the table.
func TestRefusedSignatures(t *testing.T) {
	t.Parallel()
	all := sign(t, []toSign{
		plain(),
		with(func(s *toSign) { s.Access, s.Secret, s.Session = "ASIATEST", "other", "token/+==" }),
		with(func(s *toSign) { s.Secret = "wrong" }),
		with(func(s *toSign) { s.Access = "AKIANOBODY" }),
		with(func(s *toSign) { s.Access, s.Secret = "ASIATEST", "other" }),
		with(func(s *toSign) { s.Service = "sts" }),
	})
	long, temporary, wrong, nobody, bare, sts := all[0], all[1], all[2], all[3], all[4], all[5]
	edit := func(header, from, to string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, strings.Replace(r.Header.Get(header), from, to, 1)) }
	}
	cases := []struct {
		name string
		from signed
		edit func(*http.Request)
		body string
		off  time.Duration // of the cloud's clock
		want reason
	}{
		{name: "none", from: long, edit: func(r *http.Request) { r.Header.Del("Authorization") }, want: noSignature},
		{name: "another scheme", from: long, edit: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, want: badHeader},
		{name: "another algorithm", from: long, edit: edit("Authorization", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), want: badHeader},
		{name: "no signature in it", from: long, edit: edit("Authorization", "Signature=", "Sig="), want: badHeader},
		{name: "half a scope", from: long, edit: edit("Authorization", "/aws4_request", ""), want: badHeader},
		{name: "host not signed", from: long, edit: edit("Authorization", "host;", ""), want: badHeader},
		{name: "no date", from: long, edit: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, want: badDate},
		{name: "another day", from: long, edit: func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }, want: badDate},
		{name: "unknown key", from: nobody, want: unknownKey},
		{name: "session for none", from: long, edit: func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, want: unknownKey},
		{name: "no session", from: bare, want: unknownKey},
		{name: "another service", from: sts, want: otherScope},
		{name: "another secret", from: wrong, want: badSignature},
		{name: "another body", from: long, body: "Action=DescribeSubnets", want: badSignature},
		{name: "another path", from: long, edit: func(r *http.Request) { r.URL.Path = "/x" }, want: badSignature},
		{name: "another query", from: long, edit: func(r *http.Request) { r.URL.RawQuery = "a=b" }, want: badSignature},
		{name: "another method", from: long, edit: func(r *http.Request) { r.Method = "PUT" }, want: badSignature},
		{name: "another host", from: long, edit: func(r *http.Request) { r.Host = "example.org" }, want: badSignature},
		{name: "another content type", from: long, edit: edit("Content-Type", "utf-8", "utf-9"), want: badSignature},
		{name: "another region", from: long, edit: edit("Authorization", "eu-central-1", "eu-central-2"), want: badSignature},
		{name: "signature cut", from: long, edit: func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:len(r.Header.Get("Authorization"))-1])
		}, want: badSignature},
		{name: "header smuggled in", from: long, edit: func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }, want: unsignedHeader},
		{name: "long ago", from: long, off: skew + time.Minute, want: signedLongAgo},
		{name: "ahead", from: long, off: -skew - time.Minute, want: signedAhead},
		{name: "key expired", from: temporary, off: 2 * time.Minute, want: keyExpired},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := c.from.request(t)
			if c.edit != nil {
				c.edit(r)
			}
			body := c.from.Body
			if c.body != "" {
				body = c.body
			}
			now := time.Now()
			_, no := verify(r, []byte(body), now.Add(c.off), testKeys(now.Add(time.Minute)))
			want := refusals()[c.want]
			if no == nil || no.code != want.code || no.status != want.status || no.message != want.message {
				t.Errorf("%+v, want %+v", no, want)
			}
		})
	}
	now := time.Now()
	for _, off := range []time.Duration{skew - time.Minute, time.Minute - skew} {
		if _, no := verify(long.request(t), []byte(long.Body), now.Add(off), testKeys(now)); no != nil {
			t.Errorf("a clock off by %s: %s", off, no.code)
		}
	}
}
