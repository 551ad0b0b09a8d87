package ledgerlog_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
	"github.com/nicferry/nicferry/provider/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Of two who decide on the same history one is told to decide again, however
// many changes lie in between.
func TestOfTwoChangesOneStands(t *testing.T) {
	log := ledgerlog.Log{Ledger: providertest.NewLedger()}
	spec := nic.Spec{NIC: nic.NewID(), MAC: nic.NewMAC()}
	old, err := log.Record(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		h, err := log.Read(t.Context(), spec.NIC)
		if err != nil || h.Newest() != n {
			t.Fatalf("after %d changes the newest is %d, %v", n, h.Newest(), err)
		}
		if ok, err := log.Add(t.Context(), h, ledgerlog.Step{Do: ledgerlog.Attach, Machine: "m", At: time.Unix(int64(n), 0)}); err != nil || !ok {
			t.Fatalf("change %d: %t, %v", n, ok, err)
		}
		if ok, err := log.Add(t.Context(), old, ledgerlog.Step{Do: ledgerlog.Erase}); err != nil || ok {
			t.Fatalf("a change of what was read %d changes ago stands: %t, %v", n+1, ok, err)
		}
	}
	h, err := log.Read(t.Context(), spec.NIC)
	if err != nil || h.Erased() || h.Last.Machine != "m" || h.Last.At.Unix() != 3 {
		t.Errorf("read back %+v, %v", h, err)
	}
}

func TestRecordIsOnceAndForAll(t *testing.T) {
	ledger := providertest.NewLedger()
	log := ledgerlog.Log{Ledger: ledger}
	spec := nic.Spec{NIC: nic.NewID(), MAC: nic.NewMAC()}
	for range 2 {
		if h, err := log.Record(t.Context(), spec); err != nil || !h.Known || h.Spec.MAC != spec.MAC {
			t.Fatalf("Record: %+v, %v", h, err)
		}
	}
	other := spec
	other.MTU = 1400
	if _, err := log.Record(t.Context(), other); !errors.Is(err, provider.ErrInvalid) {
		t.Errorf("another spec for the id: %v", err)
	}
	err := log.Change(t.Context(), spec.NIC, func(ledgerlog.History) (*ledgerlog.Step, error) {
		return &ledgerlog.Step{Do: ledgerlog.Erase}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Record(t.Context(), spec); !errors.Is(err, provider.ErrBusy) {
		t.Errorf("Record of what is being deleted: %v", err)
	}
	for range 2 {
		if err := log.Forget(t.Context(), spec.NIC); err != nil {
			t.Fatal(err)
		}
	}
	ledger.WantEmpty(t, "forgotten")
	if err := log.Change(t.Context(), spec.NIC, nil); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("Change of nothing: %v", err)
	}
}
