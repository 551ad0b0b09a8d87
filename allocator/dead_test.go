package allocator_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A machine that went from one hypervisor to another is still there on the first,
// and off. That proves nothing: a container on it runs.
func TestDeadByAllProvidersThatKnowTheMachine(t *testing.T) {
	t.Parallel()
	first, second := &powered{Provider: fake.New(fake.Options{})}, &powered{Provider: fake.New(fake.Options{})}
	records := memstore.New(memstore.Options{})
	alloc, err := allocator.New(allocator.Options{
		Store: records, Log: slog.New(slog.DiscardHandler), Providers: map[string]provider.Provider{"first": first, "second": second},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "a"}); err != nil {
		t.Fatal(err)
	}
	off, on := map[nic.InstanceID]bool{"vm1": true}, map[nic.InstanceID]bool{}
	for name, c := range map[string]struct {
		first, second       map[nic.InstanceID]bool
		firstErr, secondErr error
		dead                bool
	}{
		"off at both":                      {first: off, second: off, dead: true},
		"off, and unknown to the other":    {first: off, secondErr: provider.ErrNotFound, dead: true},
		"off, and runs at the other":       {first: off, second: on},
		"runs, and off at the other":       {first: on, second: off},
		"off, and the other is silent":     {first: off, secondErr: errors.New("no answer")},
		"unknown to both":                  {firstErr: provider.ErrNotFound, secondErr: provider.ErrNotFound},
		"unknown, and the other is silent": {firstErr: provider.ErrNotFound, secondErr: errors.New("no answer")},
	} {
		first.off, first.err, second.off, second.err = c.first, c.firstErr, c.second, c.secondErr
		if why, dead, _ := alloc.Dead(t.Context(), "vm1"); dead != c.dead || dead != (why != "") {
			t.Errorf("%s: dead %v (%q), want %v", name, dead, why, c.dead)
		}
	}
	if err := records.Close(); err != nil {
		t.Error(err)
	}
}
