package providertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nicferry/nicferry/provider"
)

// RunLedger runs the conformance suite of a provider.Ledger. newLedger returns
// an empty one.
func RunLedger(t *testing.T, newLedger func(t *testing.T) provider.Ledger) {
	for name, run := range map[string]func(*testing.T, provider.Ledger){
		"PutStoresOnceOnly":      ledgerPutOnce,
		"GetOfNothingIsNotFound": ledgerGetNothing,
		"ListIsByPrefix":         ledgerList,
		"DeleteTwice":            ledgerDelete,
		"ValuesAreCopies":        ledgerCopies,
		"OneOfManyPutsStores":    ledgerRace,
		"CancelledCallsFail":     ledgerCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, newLedger(t))
		})
	}
}

func ledgerPutOnce(t *testing.T, l provider.Ledger) {
	for i, value := range []string{"first", "second", "first"} {
		now, stored, err := l.Put(t.Context(), "nic/1/spec", []byte(value))
		if err != nil || string(now) != "first" || stored != (i == 0) {
			t.Errorf("Put %d of %q returns %q, %t, %v; want first and stored only at first", i, value, now, stored, err)
		}
	}
	if err := l.Delete(t.Context(), "nic/1/spec"); err != nil {
		t.Fatal(err)
	}
	now, stored, err := l.Put(t.Context(), "nic/1/spec", []byte("second"))
	if err != nil || string(now) != "second" || !stored {
		t.Errorf("Put after Delete returns %q, %t, %v", now, stored, err)
	}
	wantRecord(t, l, "nic/1/spec", "second")
}

func ledgerGetNothing(t *testing.T, l provider.Ledger) {
	put(t, l, "nic/10", "x")
	for _, key := range []string{"nic/1", "nic/", "nic/10/", "nic/100"} {
		if got, err := l.Get(t.Context(), key); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("Get %q returns %q, %v; want ErrNotFound", key, got, err)
		}
	}
}

func ledgerList(t *testing.T, l provider.Ledger) {
	if got, err := l.List(t.Context(), ""); err != nil || len(got) != 0 {
		t.Errorf("List of an empty ledger returns %q, %v", got, err)
	}
	for _, key := range []string{"nic/1/a", "nic/1/b", "nic/10/a", "nicx", "other/nic/1/a"} {
		put(t, l, key, "value of "+key)
	}
	put(t, l, "nic/1/raw", "\x00\xff")
	for prefix, want := range map[string][]string{
		"nic/1/": {"nic/1/a", "nic/1/b", "nic/1/raw"},
		"nic/":   {"nic/1/a", "nic/1/b", "nic/1/raw", "nic/10/a"},
		"nicx":   {"nicx"},
		"none/":  nil,
		"":       {"nic/1/a", "nic/1/b", "nic/1/raw", "nic/10/a", "nicx", "other/nic/1/a"},
	} {
		got, err := l.List(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
			t.Errorf("List %q returns %q; want %q", prefix, keys, want)
		}
		for key, value := range got {
			if key != "nic/1/raw" && string(value) != "value of "+key {
				t.Errorf("List %q: %q holds %q", prefix, key, value)
			}
		}
	}
	wantRecord(t, l, "nic/1/raw", "\x00\xff")
}

func ledgerDelete(t *testing.T, l provider.Ledger) {
	put(t, l, "nic/1", "one")
	put(t, l, "nic/10", "ten")
	for range 2 {
		if err := l.Delete(t.Context(), "nic/1"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if _, err := l.Get(t.Context(), "nic/1"); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("Get after Delete: %v", err)
		}
	}
	wantRecord(t, l, "nic/10", "ten")
}

func ledgerCopies(t *testing.T, l provider.Ledger) {
	value := []byte("value")
	now, _, err := l.Put(t.Context(), "key", value)
	if err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	now[1] = 'X'
	got, err := l.Get(t.Context(), "key")
	if err != nil || string(got) != "value" {
		t.Fatalf("Get returns %q, %v; want what was put, as it was then", got, err)
	}
	got[2] = 'X'
	listed, err := l.List(t.Context(), "key")
	if err != nil || string(listed["key"]) != "value" {
		t.Fatalf("List returns %q, %v", listed, err)
	}
	listed["key"][3] = 'X'
	wantRecord(t, l, "key", "value")
}

func ledgerRace(t *testing.T, l provider.Ledger) {
	var stored atomic.Int32
	values := make([]string, 16)
	var wg sync.WaitGroup
	for i := range values {
		wg.Go(func() {
			now, mine, err := l.Put(t.Context(), "slot", fmt.Append(nil, i))
			if err != nil {
				t.Errorf("Put: %v", err)
			}
			if mine {
				stored.Add(1)
			}
			values[i] = string(now)
		})
	}
	wg.Wait()
	if n := stored.Load(); n != 1 {
		t.Errorf("%d of %d Puts were told that they stored", n, len(values))
	}
	if slices.Sort(values); values[0] != values[len(values)-1] {
		t.Errorf("the Puts were told different values: %q", values)
	}
	wantRecord(t, l, "slot", values[0])
}

func ledgerCancelled(t *testing.T, l provider.Ledger) {
	put(t, l, "key", "value")
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, putErr := l.Put(dead, "other", []byte("value"))
	_, getErr := l.Get(dead, "key")
	_, listErr := l.List(dead, "")
	deleteErr := l.Delete(dead, "key")
	for op, err := range map[string]error{"Put": putErr, "Get": getErr, "List": listErr, "Delete": deleteErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", op, err)
		}
	}
	wantRecord(t, l, "key", "value")
}

func put(t *testing.T, l provider.Ledger, key, value string) {
	t.Helper()
	if _, stored, err := l.Put(t.Context(), key, []byte(value)); err != nil || !stored {
		t.Fatalf("Put %q: stored %t, %v", key, stored, err)
	}
}

func wantRecord(t *testing.T, l provider.Ledger, key, want string) {
	t.Helper()
	got, err := l.Get(t.Context(), key)
	if err != nil || string(got) != want {
		t.Errorf("Get %q returns %q, %v; want %q", key, got, err, want)
	}
}
