package libvirt

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// reopen is how long to wait after a connection could not be opened.
const reopen = 5 * time.Second

// Hints implements provider.Hinter with libvirt's events. It is also what looks
// at the domains when the connection is there, and tells how they hot-plug.
func (p *Provider) Hints(ctx context.Context, hint func(nic.ID)) {
	hv := p.reach(ctx)
	if hv == nil {
		return
	}
	p.survey(ctx, hv)
	hint("")
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-hv.Events():
			if !open {
				return // closed, and what closes it ends ctx too
			}
			p.heard(ctx, hv, e, hint)
		}
	}
}

// reach opens the connection, however long that takes; nil when ctx ends.
func (p *Provider) reach(ctx context.Context) Hypervisor {
	told := ""
	for {
		call, cancel := context.WithTimeout(ctx, worstCall)
		hv, err := p.conn.get(call)
		cancel()
		if err == nil {
			if told != "" {
				p.opts.Log.Info("hypervisor is there")
			}
			return hv
		}
		if ctx.Err() == nil && told != err.Error() {
			told = err.Error()
			p.opts.Log.Warn("hypervisor cannot be reached; it is tried again", "every", reopen, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reopen):
		}
	}
}

func (p *Provider) heard(ctx context.Context, hv Hypervisor, e virt.Event, hint func(nic.ID)) {
	if e.Kind == virt.Reconnected || e.Kind == virt.DomainChanged {
		p.survey(ctx, hv)
		hint("")
		return
	}
	id, ok := ours(e.Alias)
	if !ok {
		return
	}
	switch e.Kind {
	case virt.DeviceRemovalFailed:
		p.opts.Log.Warn("guest refuses to let the NIC go; it is asked again", "nic", id, "domain", e.UUID)
	case virt.DeviceRemoved:
		p.tellRemoval(ctx, id, e.UUID)
	}
	hint(id)
}

// tellRemoval tells a removal that was asked for, however long ago, from one
// that surprises.
func (p *Provider) tellRemoval(ctx context.Context, id nic.ID, uuid string) {
	h, err := p.log.Read(ctx, id)
	switch {
	case err != nil:
		p.opts.Log.Warn("NIC left its domain, and its record cannot be read", "nic", id, "domain", uuid, "err", err)
	case h.Known && h.Last.Do == ledgerlog.Attach && h.Last.Machine == uuid:
		p.opts.Log.Warn("NIC was unplugged, and not by this controller", "nic", id, "domain", uuid)
	case h.Last.Do == ledgerlog.Detach:
		p.opts.Log.Info("guest has let the NIC go", "nic", id, "domain", uuid, "after", time.Since(h.Last.At).Round(time.Millisecond))
	}
}

// survey tells of each domain once, and again when it has changed, how it
// hot-plugs.
func (p *Provider) survey(ctx context.Context, hv Hypervisor) {
	call, cancel := context.WithTimeout(ctx, worstCall)
	defer cancel()
	domains, err := p.domains(call, hv)
	if err != nil {
		if ctx.Err() == nil {
			p.opts.Log.Warn("domains cannot be listed", "err", err)
		}
		return
	}
	for _, d := range domains {
		p.mu.Lock()
		mode, known := p.told[d.UUID]
		p.told[d.UUID] = d.Hotplug
		p.mu.Unlock()
		if known && mode == d.Hotplug {
			continue
		}
		log := p.opts.Log.With("domain", d.Name, "uuid", d.UUID, "mode", d.Hotplug, "slots", d.Slots.Total, "free", d.Slots.Free)
		if d.Hotplug == virt.Native {
			log.Warn("domain unplugs by native PCIe hot-plug, which takes 6 s and can be refused; by ACPI, QEMU's default since 6.1, it is faster")
		} else {
			log.Info("domain found")
		}
	}
}
