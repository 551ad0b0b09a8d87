// Package acs calls Alibaba Cloud's APIs by the vendor's SDK: many calls at a time, each
// with a context, without panics, and without secrets in what is said of them.
package acs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"

	"github.com/nicferry/nicferry/provider/secrets"
)

// longest is how much of an answer is read, in bytes: more than 500 interfaces with all
// their addresses.
const longest = 16 << 20

// Options are what calls need.
type Options struct {
	// Region is such as cn-hangzhou; required.
	Region string
	// Endpoint is the URL at which all services are, where that is not the region's
	// own; optional. Only there calls may go without TLS.
	Endpoint string
	// Keys are what to sign with; required.
	Keys Keys
	// Transport carries the calls; optional: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout is how long one attempt may take; required.
	Timeout time.Duration
}

// A Key is what a caller signs with.
type Key struct {
	// Access and Secret are required.
	Access, Secret string
	// Token goes with a temporary key.
	Token string
}

// signed is what of a signed request can be in a text, also escaped as what is signed is.
var signed = regexp.MustCompile(`(?i)((Signature|SignatureNonce|AccessKeyId|SecurityToken)(=|%3D|%253D)[^\s&,"<]+|server string to sign is:.*)`)

// A Caller makes calls. It may be used concurrently.
type Caller struct {
	opts           Options
	scheme, domain string
	secrets        *secrets.Words
}

// New returns a caller, without a call.
func New(o Options) (*Caller, error) {
	c := &Caller{opts: o, scheme: "HTTPS", secrets: secrets.New(signed)}
	if o.Transport == nil {
		c.opts.Transport = http.DefaultTransport
	}
	if o.Region == "" {
		return nil, errors.New("no region is set")
	}
	if o.Endpoint == "" {
		return c, nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q is no URL such as https://host", o.Endpoint)
	}
	c.scheme, c.domain = strings.ToUpper(u.Scheme), u.Host
	return c, nil
}

// Region is the one that calls are for.
func (c *Caller) Region() string { return c.opts.Region }

// A Refusal is an answer that says no. Nothing was done, unless Status is 500 or above.
type Refusal struct {
	Code, Message, RequestID string
	Status                   int
	// Missing is the permission that lacks, such as ecs:CreateNetworkInterface, where
	// RAM says so.
	Missing string
}

// Error reads "InvalidEniId.NotFound: The specified NetworkInterfaceId does not exist.".
func (r *Refusal) Error() string {
	if r.Missing != "" {
		return r.Code + ": " + r.Message + " (" + r.Missing + ")"
	}
	return r.Code + ": " + r.Message
}

// Do makes one attempt of a call and fills answer. The request is new, and of no use
// afterwards: signing changes it. The error is a *Refusal, one of ctx, or one of which
// nothing is known but its text: the call may have taken place.
//
// The SDK's client is no good for two calls at a time, and knows no context: each call
// has one of its own, over the one transport, with a context in between.
func (c *Caller) Do(ctx context.Context, request requests.AcsRequest, answer responses.AcsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	key, err := c.opts.Keys(ctx)
	if err != nil {
		return fmt.Errorf("credentials: %s", c.secrets.Strike(err.Error()))
	}
	c.secrets.Learn(key.Access, key.Secret, key.Token)
	wire := &wire{ctx: ctx, base: c.opts.Transport}
	err = c.attempt(request, answer, key, wire)
	switch {
	case ctx.Err() != nil && wire.body == nil:
		return ctx.Err()
	case wire.body == nil && err != nil:
		return errors.New(c.secrets.Strike(plain(err).Error()))
	}
	return c.read(wire, err)
}

// attempt hands the request to the SDK, of which a panic is one more error: it takes
// some things for granted that an answer may lack.
func (c *Caller) attempt(request requests.AcsRequest, answer responses.AcsResponse, key Key, wire *wire) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the SDK cannot read the answer: %v", r)
		}
	}()
	var credential auth.Credential = credentials.NewAccessKeyCredential(key.Access, key.Secret)
	if key.Token != "" {
		credential = credentials.NewStsTokenCredential(key.Access, key.Secret, key.Token)
	}
	var client sdk.Client
	config := sdk.NewConfig().WithScheme(c.scheme).WithTimeout(c.opts.Timeout)
	config.Transport = wire
	if err := client.InitWithOptions(c.opts.Region, config, credential); err != nil {
		return err
	}
	client.EndpointType = "regional"
	client.Domain = c.domain
	return client.DoAction(request, answer)
}

// read says what an answer means that has come: one that is none of the API's, such as
// a proxy's page or nothing at all, is no success, whatever its status.
func (c *Caller) read(w *wire, err error) error {
	var said struct {
		RequestID string          `json:"RequestId"`
		Code      json.RawMessage `json:"Code"`
		Message   json.RawMessage `json:"Message"`
		Denied    json.RawMessage `json:"AccessDeniedDetail"`
	}
	if json.Unmarshal(w.body, &said) != nil || said.RequestID == "" {
		return fmt.Errorf("HTTP %d with %s where an answer of the API was due; is the endpoint right, and no proxy before it?", w.status, describe(w.body))
	}
	if w.status >= 300 {
		return &Refusal{
			Code: c.secrets.Strike(word(said.Code)), Message: c.secrets.Strike(word(said.Message)),
			RequestID: c.secrets.Strike(said.RequestID), Status: w.status, Missing: c.secrets.Strike(missing(said.Denied)),
		}
	}
	if err != nil {
		return errors.New(c.secrets.Strike(plain(err).Error()))
	}
	return nil
}

// word is a text, or what stands where one should.
func word(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// missing is the permission that the detail of a refusal names, if it is one.
func missing(detail json.RawMessage) string {
	var said struct {
		Action string `json:"AuthAction"`
	}
	if json.Unmarshal(detail, &said) != nil {
		return ""
	}
	return said.Action
}

func describe(body []byte) string {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return "nothing"
	case bytes.Contains(bytes.ToLower(body[:min(len(body), 1024)]), []byte("<html")):
		return "a web page"
	}
	return "something else"
}

// plain is the error without the URL that it happened to: that is signed, and a secret.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// A wire carries one call, with its context, and keeps the answer.
type wire struct {
	ctx    context.Context //nolint:containedctx // the SDK takes none
	base   http.RoundTripper
	status int
	body   []byte // not nil once there is an answer
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(r.WithContext(w.ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, longest))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	w.status, w.body = resp.StatusCode, append([]byte{}, body...)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
