package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/call"
)

// What may be wrong with a service. Each error of a Client that is about the
// service and not about its caller is one of these.
var (
	// ErrNone: nothing answers there.
	ErrNone = errors.New("no metadata service answers")
	// ErrRefused: it answers, and not to us.
	ErrRefused = errors.New("the metadata service refuses")
	// ErrStrange: what answers does not speak as the service does.
	ErrStrange = errors.New("this is not how a metadata service answers")
)

// errAbsent: the service has no such item.
var errAbsent = errors.New("absent")

const (
	// tokenTTL is asked for. A token is renewed tokenSpare before its end.
	tokenTTL   = 300 * time.Second
	tokenSpare = 30 * time.Second
	maxAnswer  = 64 << 10 // bytes
)

// get reads one path; errAbsent if it is not there. When a token is not accepted
// it takes a new one, once.
func (c *Client) get(ctx context.Context, path string) (string, error) {
	for fresh := false; ; fresh = true {
		if err := c.renew(ctx); err != nil {
			return "", err
		}
		status, text, _, err := c.send(ctx, call.Request{
			Method: http.MethodGet, URL: c.BaseURL + path, Header: http.Header{c.Dialect.tokenHeader: {c.token}},
		})
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK:
			return text, nil
		case status == http.StatusNotFound:
			return "", errAbsent
		case status == http.StatusUnauthorized && !fresh:
			c.token = ""
		default:
			return "", c.unwelcome(path, status)
		}
	}
}

// renew sees to it that there is a token with some life left.
func (c *Client) renew(ctx context.Context) error {
	if c.token != "" && time.Now().Before(c.tokenEnd) {
		return nil
	}
	c.token = ""
	asked := time.Now()
	status, text, header, err := c.send(ctx, call.Request{
		Method: http.MethodPut, URL: c.BaseURL + c.Dialect.tokenPath, Repeatable: true,
		Header: http.Header{c.Dialect.ttlHeader: {strconv.Itoa(int(tokenTTL / time.Second))}},
	})
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return c.unwelcome(c.Dialect.tokenPath, status)
	}
	ttl := tokenTTL
	if c.Dialect.echoesTTL {
		// Without that header it is something else, such as a portal that
		// answers whatever is asked. The older way, without a token, is never
		// tried: anything that can be made to send a GET could use it.
		n, err := strconv.Atoi(header.Get(c.Dialect.ttlHeader))
		if err != nil || n < 1 {
			return fmt.Errorf("%w: %s gave a token without %s", ErrStrange, c.BaseURL, c.Dialect.ttlHeader)
		}
		ttl = min(ttl, time.Duration(n)*time.Second)
	}
	if !isWord(text) {
		return fmt.Errorf("%w: %s gave a token that is none", ErrStrange, c.BaseURL)
	}
	c.token, c.tokenEnd = text, asked.Add(ttl-min(tokenSpare, ttl/2))
	return nil
}

// unwelcome is the error for an answer that helps nobody.
func (c *Client) unwelcome(path string, status int) error {
	switch status {
	case http.StatusForbidden:
		return fmt.Errorf("%w: %s%s answered 403: it is switched off for this instance, or a proxy is between", ErrRefused, c.BaseURL, path)
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: %s%s answered 401 to a token that it had just given: is one address served by several?", ErrRefused, c.BaseURL, path)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %s%s answered %d: something on this instance asks it too often", ErrRefused, c.BaseURL, path, status)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: %s%s answered %d: %s gives a token there", ErrStrange, c.BaseURL, path, status, c.Dialect.cloud)
	}
	return fmt.Errorf("%w: %s%s answered %d", ErrStrange, c.BaseURL, path, status)
}

// send sends one request within the client's patience and reads the answer.
func (c *Client) send(ctx context.Context, r call.Request) (status int, text string, header http.Header, err error) {
	within, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	resp, err := c.calls.Do(within, r)
	if err != nil {
		return 0, "", nil, c.silence(ctx, within, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, "", nil, c.silence(ctx, within, err)
	}
	if len(body) > maxAnswer {
		return 0, "", nil, fmt.Errorf("%w: %s sent more than %d bytes", ErrStrange, r.URL, maxAnswer)
	}
	return resp.StatusCode, strings.TrimSpace(string(body)), resp.Header, nil
}

// silence is the error when there was no answer, or half of one.
func (c *Client) silence(ctx, within context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("ask %s: %w", c.BaseURL, context.Cause(ctx))
	case within.Err() != nil:
		return fmt.Errorf("%w: %s said nothing for %s. Is this an %s instance, with its metadata service on?%s",
			ErrNone, c.BaseURL, c.Patience, c.Dialect.cloud, c.Dialect.unheard)
	}
	return fmt.Errorf("%w: %s: is this an %s instance, with its metadata service on? %w", ErrNone, c.BaseURL, c.Dialect.cloud, err)
}

// isWord says whether text is one printable word, as ids, zones and tokens are.
func isWord(text string) bool {
	return text != "" && len(text) <= 1024 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' })
}
