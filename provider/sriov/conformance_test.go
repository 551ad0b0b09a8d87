package sriov_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/providertest"
	"github.com/nicferry/nicferry/provider/sriov"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, func(*testing.T) *providertest.Rig {
		w := newWorld(2)
		return &providertest.Rig{
			Provider:  w.controller(),
			Places:    [2]nic.Place{alpha, beta},
			SpecAt:    w.roundRobin(),
			Settle:    func(*testing.T) {}, // nothing here takes time
			NodeClean: w.nodes.SetClean,
			Restart:   func(*testing.T) provider.Provider { return w.controller() },
			Fail:      func(_ string, kind error) { w.ledger.Before(1, func() error { return kind }) },
			Lose:      w.loseWrite,
		}
	})
}

// loseWrite loses the reply of the write in the next call of op; each verb reads
// once before it.
func (w world) loseWrite(string) {
	w.ledger.After(2, func() error { return errors.New("the store broke before the reply") })
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := sriov.New(sriov.Options{Name: "no good"})
	for _, want := range []string{"no good", "ledger", "nodes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}
