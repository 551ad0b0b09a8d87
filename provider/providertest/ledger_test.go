package providertest_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLedger(t *testing.T) {
	providertest.RunLedger(t, func(*testing.T) provider.Ledger { return providertest.NewLedger() })
}

func TestLedgerFaultsStrikeOnce(t *testing.T) {
	l, boom := providertest.NewLedger(), errors.New("boom")
	fail := func() error { return boom }

	l.Before(1, fail)
	if _, _, err := l.Put(t.Context(), "k", []byte("v")); !errors.Is(err, boom) {
		t.Errorf("planned failure: got %v", err)
	}
	if len(l.Records()) != 0 {
		t.Errorf("a failed Put stored %q", l.Records())
	}
	l.After(2, fail)
	if _, stored, err := l.Put(t.Context(), "k", []byte("v")); err != nil || !stored {
		t.Errorf("call before the planned one: %t, %v", stored, err)
	}
	if err := l.Delete(t.Context(), "k"); !errors.Is(err, boom) {
		t.Errorf("planned loss: got %v", err)
	}
	if len(l.Records()) != 0 {
		t.Errorf("a Delete with a lost reply left %q", l.Records())
	}
	l.Before(1, fail)
	l.Forget()
	if _, err := l.List(t.Context(), ""); err != nil {
		t.Errorf("forgotten failure: %v", err)
	}
}
