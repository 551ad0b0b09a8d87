package authority_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/store"
)

// Controllers that begin on one store at the same time agree on one CA, and
// later ones keep it.
func TestControllersAgreeOnTheCA(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store.Store) {
		const many = 8
		found := make([]string, many)
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				a, err := authority.Open(t.Context(), authority.Options{Store: s, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Error(err)
					return
				}
				found[i] = a.Fingerprint()
			})
		}
		wg.Wait()
		later := begin(t, s)
		for _, one := range found {
			if one != later.Fingerprint() || len(one) != 64 {
				t.Fatalf("fingerprints %q, later %q", found, later.Fingerprint())
			}
		}
	})
}

// A CA that cannot be read is no reason to make another, which nobody would
// know.
func TestABrokenCAIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := newMem(t)
	r := begin(t, s)
	rec, err := s.Get(t.Context(), "trust/ca")
	if err != nil {
		t.Fatal(err)
	}
	key := string(rec.Value)[strings.Index(string(rec.Value), "PRIVATE KEY"):]
	for name, value := range map[string]string{
		"no JSON":        "{",
		"no PEM":         `{"schema":1,"certificate":"x","key":"y"}`,
		"half a key":     strings.Replace(string(rec.Value), key[20:60], "", 1),
		"the other's CA": "",
	} {
		if name == "the other's CA" {
			other := newMem(t)
			begin(t, other)
			theirs, err := other.Get(t.Context(), "trust/ca")
			if err != nil {
				t.Fatal(err)
			}
			cut := func(v []byte) int { return strings.Index(string(v), `"key"`) }
			value = string(rec.Value)[:cut(rec.Value)] + string(theirs.Value)[cut(theirs.Value):]
		}
		now, err := s.Get(t.Context(), "trust/ca")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), store.Update("trust/ca", []byte(value), now.Rev)); err != nil {
			t.Fatal(err)
		}
		_, err = authority.Open(t.Context(), authority.Options{Store: s, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), "trust/ca") || strings.Contains(err.Error(), key[20:40]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if parse(t, r.CA()).NotAfter.Before(time.Now().AddDate(9, 11, 0)) {
		t.Error("the CA does not last ten years")
	}
}
