package identity_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/identity"
)

// kept runs a test of an identity that is kept, in virtual time. Its controller
// answers at first.
func kept(t *testing.T, test func(t *testing.T, a *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer)) {
	t.Helper()
	keptFor(t, 0, test)
}

// keptFor is kept with certificates that are good for so long; 0 is the most.
func keptFor(t *testing.T, life time.Duration, test func(t *testing.T, a *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorityFor(t, life)
		own, err := identity.JoinWith(t.Context(), filepath.Join(t.TempDir(), "own"), newToken(t, a, "n1", "https://h:1"), a)
		if err != nil {
			t.Fatal(err)
		}
		test(t, a, own, &link{authority: a, own: own}, &bytes.Buffer{})
	})
}

// keep runs Keep for so long.
func keep(t *testing.T, own *identity.Identity, way *link, log *bytes.Buffer, long time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	own.Keep(ctx, way, way.refused, slog.New(slog.NewTextHandler(log, nil)))
	synctest.Wait()
}

func expires(t *testing.T, own *identity.Identity) time.Time {
	t.Helper()
	at, err := own.Expires()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Two thirds of a day of which one hour is behind, or up to two hours earlier.
func TestS4_RenewedByItself(t *testing.T) {
	kept(t, func(t *testing.T, _ *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer) {
		begin := time.Now()
		keep(t, own, way, log, 10*24*time.Hour)
		if n := len(way.asked); n < 15 || n > 19 || way.closed != n {
			t.Errorf("asked %d times in ten days, and let go of %d connections; want some 17 of each", n, way.closed)
		}
		last := begin
		for _, at := range way.asked {
			if pause := at.Sub(last); pause < 13*time.Hour-6*time.Minute || pause > 15*time.Hour+6*time.Minute {
				t.Errorf("asked %s after the last", pause)
			}
			last = at
		}
		if left := time.Until(expires(t, own)); left < 7*time.Hour {
			t.Errorf("in the end it is good for %s", left)
		}
	})
}

// Also a short certificate is renewed before its end, though most of what it says
// of its time lay behind it from the first.
func TestS4_ShortCertificatesAreRenewedInTime(t *testing.T) {
	for _, life := range []time.Duration{time.Minute, 3 * time.Minute, 10 * time.Minute, 45 * time.Minute, 2 * time.Hour} {
		keptFor(t, life, func(t *testing.T, _ *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer) {
			began := time.Now()
			keep(t, own, way, log, 6*life)
			last := began
			for _, at := range way.asked {
				if pause := at.Sub(last); pause > life*3/4 {
					t.Errorf("good for %s: renewed %s after the last", life, pause)
				}
				last = at
			}
			if most := 4 + int(6*life/min(life/3, 5*time.Minute)); len(way.asked) > most {
				t.Errorf("good for %s: asked %d times, at most %d are well", life, len(way.asked), most)
			}
			if !expires(t, own).After(time.Now()) {
				t.Errorf("good for %s: in the end it has expired\n%s", life, log)
			}
		})
	}
}

// A fleet that has joined at once does not come back at once.
func TestRenewalsAreSpread(t *testing.T) {
	first, last := time.Duration(1<<62), time.Duration(0)
	for range 20 {
		kept(t, func(t *testing.T, _ *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer) {
			begin := time.Now()
			keep(t, own, way, log, 16*time.Hour)
			if len(way.asked) != 1 {
				t.Fatalf("asked %d times", len(way.asked))
			}
			first, last = min(first, way.asked[0].Sub(begin)), max(last, way.asked[0].Sub(begin))
		})
	}
	if last-first < 30*time.Minute { // 20 of two hours: less than once in 10¹⁰ runs
		t.Errorf("twenty machines renew within %s", last-first)
	}
}

// An hour without a controller costs few tries, and the first after it works.
func TestS4_ControllerAwayWhenItIsTime(t *testing.T) {
	kept(t, func(t *testing.T, _ *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer) {
		way.away.Store(true)
		before := expires(t, own)
		keep(t, own, way, log, 16*time.Hour)
		// Two seconds, doubled up to five minutes, in one to three hours.
		if n := len(way.asked); n < 18 || n > 85 {
			t.Errorf("asked %d times", n)
		}
		if n := strings.Count(log.String(), "certificate not renewed"); n != 1 {
			t.Errorf("told %d times:\n%s", n, log)
		}
		way.away.Store(false)
		keep(t, own, way, log, time.Minute)
		if after := expires(t, own); !after.After(before) {
			t.Errorf("it still ends at %s", after)
		}
	})
}

// An agent that was off for a while gets a certificate with the one that has
// expired, and after 30 days it is told to join again.
func TestS4_ExpiredWhileOff(t *testing.T) {
	for days, want := range map[int]bool{2: true, 30: true, 32: false} {
		kept(t, func(t *testing.T, _ *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer) {
			time.Sleep(time.Duration(days) * 24 * time.Hour)
			keep(t, own, way, log, time.Hour)
			if got := expires(t, own).After(time.Now()); got != want {
				t.Errorf("off for %d days: renewed: %t, want %t\n%s", days, got, want, log)
			}
			if told := strings.Contains(log.String(), "nicferry token create --node n1"); told == want {
				t.Errorf("off for %d days: the log says:\n%s", days, log)
			}
			if len(way.asked) > 30 {
				t.Errorf("off for %d days: asked %d times in an hour", days, len(way.asked))
			}
		})
	}
}

// A node that was revoked is told so once, keeps its files, and goes on by
// itself when it joins again.
func TestS4_RevokedAndJoinedAgain(t *testing.T) {
	kept(t, func(t *testing.T, a *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer) {
		if _, _, err := a.Revoke(t.Context(), "n1"); err != nil {
			t.Fatal(err)
		}
		keep(t, own, way, log, 20*time.Hour)
		if n := strings.Count(log.String(), "node n1 was revoked"); n != 1 {
			t.Errorf("told %d times that it was revoked:\n%s", n, log)
		}
		asked := len(way.asked)
		if asked > 20+8*20 {
			t.Errorf("asked %d times in up to seven hours", asked)
		}
		dir := filepath.Dir(own.Files().Key)
		if _, err := identity.JoinWith(t.Context(), dir, newToken(t, a, "n1", "https://h:1"), a); err != nil {
			t.Fatal(err)
		}
		keep(t, own, way, log, 12*time.Hour)
		if len(way.asked) > asked {
			t.Errorf("asked %d times with a new certificate that is not due", len(way.asked)-asked)
		}
		keep(t, own, way, log, 12*time.Hour)
		if left := time.Until(expires(t, own)); left < 7*time.Hour {
			t.Errorf("in the end it is good for %s\n%s", left, log)
		}
	})
}

// Whoever is refused need not wait for the next look: neither where the certificate
// has ended while the machine slept, here by putting an older one back, nor where the
// controller was away for long. One that is refused its renewal waits all the same.
func TestS4_ARefusalWakesTheRenewer(t *testing.T) {
	for name, tc := range map[string]struct {
		begin func(t *testing.T, a *authority.Authority, way *link, old []byte) error
		asks  int // as soon as it is woken, by however many calls
	}{
		"slept": {func(_ *testing.T, _ *authority.Authority, way *link, old []byte) error {
			return os.WriteFile(way.own.Files().Cert, old, 0o644)
		}, 1},
		"away": {func(_ *testing.T, _ *authority.Authority, way *link, _ []byte) error {
			way.away.Store(true)
			time.Sleep(20 * time.Hour)
			way.away.Store(false)
			return nil
		}, 1},
		"revoked": {func(t *testing.T, a *authority.Authority, _ *link, _ []byte) error {
			_, _, err := a.Revoke(t.Context(), "n1")
			time.Sleep(20 * time.Hour)
			return err
		}, 0},
		"well": {func(*testing.T, *authority.Authority, *link, []byte) error { return nil }, 0},
	} {
		kept(t, func(t *testing.T, a *authority.Authority, own *identity.Identity, way *link, log *bytes.Buffer) {
			way.refused = make(chan struct{}, 1)
			old, err := os.ReadFile(own.Files().Cert)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { own.Keep(ctx, way, way.refused, slog.New(slog.NewTextHandler(log, nil))) })
			time.Sleep(25 * time.Hour)
			synctest.Wait()
			if err := tc.begin(t, a, way, old); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			asked := len(way.asked)
			for range 10 {
				select {
				case way.refused <- struct{}{}:
				default:
				}
				synctest.Wait()
			}
			if n := len(way.asked) - asked; n != tc.asks {
				t.Errorf("%s: asked %d times at once, want %d\n%s", name, n, tc.asks, log)
			}
			if good := expires(t, own).After(time.Now()); good != (name != "revoked") {
				t.Errorf("%s: its certificate is good: %t", name, good)
			}
			cancel()
			wg.Wait()
		})
	}
}

// A certificate that is not ours is not taken, whoever gives it.
func TestWhatAnswersIsChecked(t *testing.T) {
	kept(t, func(t *testing.T, a *authority.Authority, own *identity.Identity, _ *link, log *bytes.Buffer) {
		before := expires(t, own)
		for name, wrong := range map[string]identity.Controller{
			"another node's":         answers{func(csr string) api.Issued { return issuedTo(t, a, "n2", csr) }},
			"another authority's":    answers{func(csr string) api.Issued { return issuedTo(t, newAuthority(t), "n1", csr) }},
			"nothing":                answers{func(string) api.Issued { return api.Issued{} }},
			"for a key of another's": answers{func(string) api.Issued { return issuedTo(t, a, "n1", "") }},
		} {
			log.Reset()
			ctx, cancel := context.WithTimeout(t.Context(), 16*time.Hour)
			own.Keep(ctx, wrong, nil, slog.New(slog.NewTextHandler(log, nil)))
			cancel()
			if after := expires(t, own); !after.Equal(before) || !strings.Contains(log.String(), "read the controller's answer") {
				t.Errorf("%s: taken, or not told:\n%s", name, log)
			}
		}
	})
}
