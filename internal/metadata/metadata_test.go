package metadata_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newService(imds.Options{})
		c, asked := newClient(t, service.Handler(self), nil)
		want := metadata.Identity{Instance: self, Type: "m5.large", Region: "eu-central-1", Zone: "eu-central-1a", Account: "111122223333"}
		for range 3 {
			if got, err := c.Identity(t.Context()); got != want || err != nil {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
		if got := asked.take(); !slices.Equal(got, []string{"PUT /latest/api/token", "GET /latest/dynamic/instance-identity/document"}) {
			t.Errorf("asked %q: an instance stays what it is", got)
		}
	})
}

// A token is taken anew before it ends, and once when it is not accepted.
func TestTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newService(imds.Options{})
		c, asked := newClient(t, service.Handler(self), nil)
		puts := func() (n int) {
			t.Helper()
			if _, err := c.Role(t.Context()); err != nil {
				t.Error(err)
			}
			for _, line := range asked.take() {
				if strings.HasPrefix(line, "PUT") {
					n++
				}
			}
			return n
		}
		for _, step := range []struct {
			wait   time.Duration
			forget int // so many reads are answered with 401
			want   int
		}{{0, 0, 1}, {4 * time.Minute, 0, 0}, {time.Minute, 0, 1}, {time.Minute, 1, 1}, {time.Minute, 0, 0}} {
			time.Sleep(step.wait)
			if step.forget > 0 {
				if err := service.Inject(imds.Fault{Verb: imds.Forget, Path: "/latest/meta-data", Count: step.forget}); err != nil {
					t.Fatal(err)
				}
			}
			if n := puts(); n != step.want {
				t.Errorf("%+v: %d tokens", step, n)
			}
		}
		if err := service.Inject(imds.Fault{Verb: imds.Forget, Path: "/latest/meta-data"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		_, err := c.Role(t.Context())
		if !errors.Is(err, metadata.ErrRefused) || !strings.Contains(err.Error(), "401") {
			t.Errorf("a second 401: %v", err)
		}
		if got := asked.take(); len(got) != 3 {
			t.Errorf("asked %q, want one token more and no loop", got)
		}
	})
}

func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newService(imds.Options{})
		c, asked := newClient(t, service.Handler(self), nil)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if _, err := c.Identity(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := asked.take(); len(got) > 2 { // a token and a document
			t.Errorf("%d requests, want one round: %q", len(got), got)
		}
	})
}

func TestRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		role := ""
		service := newService(imds.Options{Role: func(string) string { return role }})
		c, asked := newClient(t, service.Handler(self), nil)
		for _, role = range []string{"", "web-role"} {
			if got, err := c.Role(t.Context()); got != role || err != nil {
				t.Errorf("%q, %v; want %q", got, err, role)
			}
		}
		for _, line := range asked.take() {
			if strings.Contains(line, "web-role") {
				t.Errorf("the role's keys were asked for: %s", line)
			}
		}
		c, _ = newClient(t, says(map[string]string{"/latest/meta-data/iam/security-credentials/": "<html>no</html>"}), nil)
		if got, err := c.Role(t.Context()); got != "" || !errors.Is(err, metadata.ErrStrange) {
			t.Errorf("a page for a role: %q, %v", got, err)
		}
	})
}

func TestAddressesOfTheService(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"": true, "http://127.0.0.1:8080": true, "http://127.0.0.1:8080/": true, "http://[fd00:ec2::254]": true, "https://x": true,
		"169.254.169.254": false, "ftp://x": false, "http://": false, "http://x/latest": false, "http://x?a": false, "http://u:secret@x": false, "http://x y": false,
	} {
		c, err := metadata.New(metadata.Options{Dialect: metadata.EC2(), Log: slog.New(slog.DiscardHandler), BaseURL: address})
		if (err == nil) != ok {
			t.Errorf("%q: %v, want accepted: %v", address, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", address, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
