package metadata_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
)

func role(string) string { return "web" }

const keysPath = "/latest/meta-data/ram/security-credentials/web"

// rounds is how often keys were asked for since it was last called.
func (a *asked) rounds() (n int) {
	for _, line := range a.take() {
		if line == "GET "+keysPath {
			n++
		}
	}
	return n
}

// known fails unless the keys are those that the service gave out.
func known(t *testing.T, service *imds.Service, k metadata.Keys) {
	t.Helper()
	if own, ok := service.Key(k.Access); !ok || own.Secret != k.Secret || own.Session != k.Token || !own.Expires.Truncate(time.Second).Equal(k.Ends) {
		t.Errorf("keys that end at %s are not the service's", k.Ends)
	}
}

// Keys are asked for once, and again before they end, which the service renews five
// minutes before.
func TestKeysAreRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newECS(imds.Options{Role: role, KeysLast: time.Hour})
		c, asked := newClient(t, service.Handler(self), ofECS)
		seen := map[string]bool{}
		var ends time.Time
		for range 600 { // ten hours
			k, err := c.Keys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			known(t, service, k)
			if left := time.Until(k.Ends); left < 4*time.Minute {
				t.Errorf("keys with %s left are used", left)
			}
			if !k.Ends.Equal(ends) {
				seen[k.Access], ends = true, k.Ends
			}
			time.Sleep(time.Minute)
		}
		// Each hour has some minutes in which the service does not yet give others.
		if n := asked.rounds(); len(seen) != 11 || n < len(seen) || n > 7*len(seen) {
			t.Errorf("%d different keys in %d rounds", len(seen), n)
		}
	})
}

// While keys last, a service that does not answer costs nothing but one question a
// while; after their end there are none, and then again.
func TestKeysWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	for _, verb := range []cloudsim.Verb{imds.Silent, cloudsim.Reset, cloudsim.HTML, cloudsim.Empty, imds.Off, cloudsim.Throttle, imds.OldKeys} {
		synctest.Test(t, func(t *testing.T) {
			service := newECS(imds.Options{Role: role, KeysLast: time.Hour})
			var log bytes.Buffer
			c, _ := newClient(t, service.Handler(self), func(o *metadata.Options) {
				o.Dialect, o.Log = metadata.ECS(), slog.New(slog.NewTextHandler(&log, nil))
			})
			first, err := c.Keys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := service.Inject(imds.Fault{Verb: verb, Path: keysPath}); err != nil {
				t.Fatal(err)
			}
			for time.Now().Before(first.Ends.Add(-time.Minute)) {
				if k, err := c.Keys(t.Context()); err != nil || k != first {
					t.Fatalf("%s: with %s left: %v", verb, time.Until(first.Ends), err)
				}
				time.Sleep(20 * time.Second)
			}
			if !strings.Contains(log.String(), "role's keys are not renewed") {
				t.Errorf("%s: nothing is said of it: %s", verb, log.String())
			}
			time.Sleep(2 * time.Minute)
			_, err = c.Keys(t.Context())
			if err == nil {
				t.Fatalf("%s: keys that have ended are used", verb)
			}
			service.Clear()
			next, err := c.Keys(t.Context())
			if err != nil || next.Access == first.Access {
				t.Errorf("%s: afterwards: %v", verb, err)
			}
			holdsNoSecret(t, string(verb), log.String(), first, next)
		})
	}
}

func holdsNoSecret(t *testing.T, what, text string, all ...metadata.Keys) {
	t.Helper()
	for _, k := range all {
		for _, secret := range []string{k.Access, k.Secret, k.Token} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%s: a secret is in %q", what, text)
			}
		}
	}
}

func TestManyAskForKeysAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newECS(imds.Options{Role: role})
		c, asked := newClient(t, service.Handler(self), ofECS)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if _, err := c.Keys(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := asked.rounds(); n != 1 {
			t.Errorf("asked %d times, want once for all", n)
		}
	})
}

// Who has keys does not wait for one that renews them from a silent service.
func TestNobodyWaitsForARenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newECS(imds.Options{Role: role, KeysLast: time.Hour})
		c, _ := newClient(t, service.Handler(self), ofECS)
		first, err := c.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := service.Inject(imds.Fault{Verb: imds.Silent}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(first.Ends.Add(-8 * time.Minute)))
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = c.Keys(t.Context()) })
		synctest.Wait()
		begun := time.Now()
		if k, err := c.Keys(t.Context()); err != nil || k != first || time.Since(begun) > 0 {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		wg.Wait()
	})
}

// What is given for keys and is none is told without a word of it.
func TestWhatAreNoKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := `{"Code":"Success","AccessKeyId":"STS.planted","AccessKeySecret":"planted-secret","SecurityToken":"planted-token","Expiration":"2030-01-02T03:04:05Z"}`
		for name, tc := range map[string]struct {
			text  string
			kind  error
			words string
		}{
			"failed":               {strings.Replace(good, "Success", "Failed", 1), metadata.ErrRefused, "not Success"},
			"without Code":         {strings.Replace(good, `"Code":"Success",`, "", 1), metadata.ErrRefused, "not Success"},
			"a number for Code":    {strings.Replace(good, `"Success"`, "200", 1), metadata.ErrStrange, "not JSON"},
			"without a secret":     {strings.Replace(good, "planted-secret", "", 1), metadata.ErrStrange, "one is not there"},
			"without a token":      {strings.Replace(good, `"SecurityToken":"planted-token",`, "", 1), metadata.ErrStrange, "one is not there"},
			"null for an id":       {strings.Replace(good, `"STS.planted"`, "null", 1), metadata.ErrStrange, "one is not there"},
			"without an end":       {strings.Replace(good, `,"Expiration":"2030-01-02T03:04:05Z"`, "", 1), metadata.ErrStrange, "no time"},
			"an end like a secret": {strings.Replace(good, "2030-01-02T03:04:05Z", "planted-secret", 1), metadata.ErrStrange, "no time"},
			"ended":                {strings.Replace(good, "2030", "1999", 1), metadata.ErrStrange, "clock"},
			"half":                 {good[:90], metadata.ErrStrange, "not JSON"},
			"a page":               {"<html>", metadata.ErrStrange, "not JSON"},
			"nothing":              {"", metadata.ErrStrange, "not JSON"},
		} {
			c, _ := newClient(t, says(map[string]string{"/latest/meta-data/ram/security-credentials/": "web", keysPath: tc.text}), ofECS)
			k, err := c.Keys(t.Context())
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.words) || k != (metadata.Keys{}) {
				t.Errorf("%s: %v; want %v and %q", name, err, tc.kind, tc.words)
			}
			if err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("%s: a secret is in %v", name, err)
			}
		}
		c, _ := newClient(t, newECS(imds.Options{}).Handler(self), ofECS)
		if _, err := c.Keys(t.Context()); !errors.Is(err, metadata.ErrNoRole) {
			t.Errorf("without a role: %v", err)
		}
		for _, verb := range []cloudsim.Verb{cloudsim.Empty, cloudsim.HTML} { // neither says that there is no role
			service := newECS(imds.Options{Role: role})
			if err := service.Inject(imds.Fault{Verb: verb, Path: "/latest/meta-data/"}); err != nil {
				t.Fatal(err)
			}
			c, _ = newClient(t, service.Handler(self), ofECS)
			if got, err := c.Role(t.Context()); got != "" || !errors.Is(err, metadata.ErrStrange) {
				t.Errorf("%s for a role: %q, %v", verb, got, err)
			}
			if _, err := c.Keys(t.Context()); !errors.Is(err, metadata.ErrStrange) {
				t.Errorf("%s for a role's keys: %v", verb, err)
			}
		}
		c, _ = newClient(t, newService(imds.Options{Role: role}).Handler(self), nil)
		if _, err := c.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "SDK's to ask for") {
			t.Errorf("on EC2: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c, _ = newClient(t, newECS(imds.Options{Role: role}).Handler(self), ofECS)
		if _, err := c.Keys(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// A role's name is no path.
func TestARolesNameIsNoPath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at string
		c, _ := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if at = r.RequestURI; strings.HasSuffix(at, "/security-credentials/") {
				_, _ = io.WriteString(w, "../../../x?y#z")
				return
			}
			_, _ = io.WriteString(w, "token")
		}), ofECS)
		if _, err := c.Keys(t.Context()); err == nil || at != "/latest/meta-data/ram/security-credentials/..%2F..%2F..%2Fx%3Fy%23z" {
			t.Errorf("asked for %s, %v", at, err)
		}
	})
}

// However keys are printed, nothing of them is.
func TestKeysPrintAsNothing(t *testing.T) {
	t.Parallel()
	k := metadata.Keys{Access: "planted-access", Secret: "planted-secret", Token: "planted-token", Ends: time.Now()}
	holder := struct{ K metadata.Keys }{k}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keys", k, "pointer", &k, "held", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keys", k, "pointer", &k, "held", holder)
	text := fmt.Sprintf("%v %+v %#v %s %q %d %x %v %+v %#v", k, k, k, k, k, k, k, &k, holder, holder) + log.String()
	raw, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	holdsNoSecret(t, "printed", text+string(raw)+fmt.Errorf("x: %v", k).Error(), k)
	if strings.Contains(text, "706c616e746564") { // in hexadecimal
		t.Errorf("a secret is in %s", text)
	}
}
