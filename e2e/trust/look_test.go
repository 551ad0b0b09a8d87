//go:build linux

package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/netns"
)

// Where the daemons serve metrics and health unless told otherwise.
const (
	controllerMetrics = "127.0.0.1:7461"
	agentMetrics      = "127.0.0.1:7462"
)

// look fetches a page inside a machine, and says what came with which status.
func (r *rig) look(m *lab.Node, address, path string) (code int, body string, err error) {
	return get(r.t.Context(), "http://"+address+path, func(ctx context.Context) (conn net.Conn, err error) {
		ns, err := netns.Open(m.NetNS())
		if err != nil {
			return nil, err
		}
		defer ns.Close()
		err = ns.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
			return err
		})
		return conn, err
	})
}

// get fetches what is at a URL over a connection that dial makes.
func get(ctx context.Context, url string, dial func(context.Context) (net.Conn, error)) (code int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// metrics is a machine's page of metrics.
func (r *rig) metrics(m *lab.Node, address string) string {
	r.t.Helper()
	code, text, err := r.look(m, address, "/metrics")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("metrics of %s: status %d: %s", address, code, text)
	}
	r.do(err)
	return text
}

// value is that of the first series whose line begins so.
func value(text, series string) (v float64, err error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, series); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				continue
			}
			_, err := fmt.Sscan(fields[len(fields)-1], &v)
			return v, err
		}
	}
	return 0, errors.New("no series " + series)
}

// wantValue waits for a series to have a value that is good.
func (r *rig) wantValue(m *lab.Node, address, series string, good func(float64) bool) float64 {
	r.t.Helper()
	var v float64
	r.do(fleet.Until(r.t.Context(), series, func() (err error) {
		if v, err = value(r.metrics(m, address), series); err == nil && !good(v) {
			err = fmt.Errorf("it is %v", v)
		}
		return err
	}))
	return v
}

// wantHealth waits for a page to have a status, and a match of the pattern.
func (r *rig) wantHealth(m *lab.Node, address, path string, status int, pattern string) {
	r.t.Helper()
	r.await(fmt.Sprintf("^%d (?s:%s)", status, pattern), func() (string, error) {
		code, body, err := r.look(m, address, path)
		return fmt.Sprint(code, " ", body), err
	})
}
