// Package libvirt is the provider of NICs that a hypervisor plugs into running
// VMs. A NIC that is plugged in nowhere is a record in its ledger; what is
// plugged in where is what libvirt lists, and nothing else.
package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// Kind is the driver's name in the config.
const Kind = "libvirt"

const (
	// addrsPerNIC is ours: the kernel has no limit.
	addrsPerNIC = 64
	// worstCall covers a plug into a busy domain. An attach that is recorded
	// and not seen in the domain counts as on its way for so long.
	worstCall = 10 * time.Second
	slotName  = "hot-plug slot"
)

// Options configure a libvirt provider.
type Options struct {
	// Name is the configured name; required.
	Name string
	// Open connects to the hypervisor; required. It is called at the first need
	// and again until it succeeds, so libvirtd may be away at the start. From
	// then on the Hypervisor itself sees to its connection.
	Open func(ctx context.Context) (Hypervisor, error)
	// Ledger is this provider's own; required.
	Ledger provider.Ledger
	// Log is told what nobody asked for; optional.
	Log *slog.Logger
}

// A Provider is a libvirt provider. Several on one ledger, as with two
// controllers, see and respect each other's work.
//
// An instance is a domain's name or UUID. What is plugged in is told by the
// domain's XML alone, so a domain that is made anew under the same name has
// what its new definition says, and a NIC of the old one is available again.
// A domain that is renamed keeps its NICs under the name they were attached by.
//
// An alias names the NIC and no cluster, so a card with an alias of ours that
// the ledger has no record of may be another controller's. List tells of it, as
// failed, and nothing here touches it: to Attach, Detach and Delete there is no
// such NIC.
type Provider struct {
	opts  Options
	log   ledgerlog.Log
	conn  *connection
	locks *locks
	ports ports

	mu    sync.Mutex
	asked map[nic.ID]request          // the last unplug that was asked of the guest
	told  map[string]virt.HotplugMode // what was logged of each domain, by UUID
}

// New returns a provider, or an error that names a missing option. It does not
// connect.
func New(o Options) (*Provider, error) {
	var faults nic.Faults
	faults.AddErr("name", nic.CheckName("provider", o.Name))
	if o.Open == nil {
		faults.Add("open", "is missing")
	}
	if o.Ledger == nil {
		faults.Add("ledger", "is missing")
	}
	if err := faults.Err(); err != nil {
		return nil, fmt.Errorf("make libvirt provider: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("provider", o.Name)
	return &Provider{
		opts: o, log: ledgerlog.Log{Ledger: o.Ledger},
		conn: newConnection(o.Open), locks: newLocks(),
		ports: ports{since: map[string]map[string]time.Time{}},
		asked: map[nic.ID]request{}, told: map[string]virt.HotplugMode{},
	}, nil
}

// Info implements provider.Provider.
func (p *Provider) Info() provider.Info {
	return provider.Info{Name: p.opts.Name, Kind: Kind, Travel: provider.Carry, WorstCall: worstCall}
}

// Limits implements provider.Provider. The slots are the domain's PCIe root
// ports, as its XML has them.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	fail := p.failing("limits", "")
	hv, err := p.conn.get(ctx)
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	d, err := hv.Domain(ctx, string(instance))
	if errors.Is(err, virt.ErrNoDomain) {
		err = noDomain(provider.ErrNotFound, instance)
	}
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	return provider.Limits{NICs: d.Slots.Total, AddrsPerNIC: addrsPerNIC, Free: max(0, d.Slots.Free), Slot: slotName}, nil
}

// Off implements provider.Powered. A domain that is paused, suspended by its guest
// or saved is not off: its containers would run on when it wakes.
func (p *Provider) Off(ctx context.Context, instance nic.InstanceID) (bool, error) {
	fail := p.failing("off", "")
	hv, err := p.conn.get(ctx)
	if err != nil {
		return false, fail(err)
	}
	d, err := hv.Domain(ctx, string(instance))
	if errors.Is(err, virt.ErrNoDomain) {
		err = noDomain(provider.ErrNotFound, instance)
	}
	if err != nil {
		return false, fail(err)
	}
	return d.State == virt.Off && !d.Asleep, nil
}

// Close ends the connection, if there is one that can be closed.
func (p *Provider) Close() error {
	if c, ok := p.conn.now().(io.Closer); ok {
		return c.Close()
	}
	return nil
}

var (
	_ provider.Provider = (*Provider)(nil)
	_ provider.Placer   = (*Provider)(nil)
	_ provider.Hinter   = (*Provider)(nil)
	_ provider.Powered  = (*Provider)(nil)
)
