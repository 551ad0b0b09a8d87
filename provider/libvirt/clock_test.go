package libvirt_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// recorded writes a step as a controller did whose clock was that far ahead.
func (h *hands) recorded(do ledgerlog.Do, ahead time.Duration) {
	h.t.Helper()
	d, err := h.hyper.Domain(h.t.Context(), "vm1")
	if err != nil {
		h.t.Fatal(err)
	}
	err = ledgerlog.Log{Ledger: h.ledger}.Change(h.t.Context(), h.id, func(ledgerlog.History) (*ledgerlog.Step, error) {
		return &ledgerlog.Step{Do: do, Place: vm1, Machine: d.UUID, At: time.Now().Add(ahead)}, nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// The clock is set back an hour after a plug was recorded that never came, and
// after an unplug that the guest was never asked for. Neither lasts an hour.
func TestAClockThatIsSetBackHoldsNothingUp(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.recorded(ledgerlog.Attach, time.Hour)
		h.want("available")
		h.attach(vm1, nil)
		h.recorded(ledgerlog.Detach, time.Hour)
		h.want("detaching vm1")
		h.attach(vm1, nil)
		h.want("attached vm1")
		h.remove()
	})
}

// Another controller's clock may be a little ahead: what it has just begun is
// under way.
func TestALittleAheadIsNow(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.recorded(ledgerlog.Attach, 2*time.Second)
		h.want("attaching vm1")
		h.attach(vm2, provider.ErrElsewhere)
		h.wantErr("delete", h.p.Delete(t.Context(), h.id), provider.ErrBusy)
		time.Sleep(12 * time.Second)
		h.want("available")
		h.remove()
	})
}
