//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/nicferry/nicferry/internal/cloudsim/plug"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// cloudMachines are the domains of a libvirt that a cloud's instances stand for.
type cloudMachines struct {
	uri, bridge string
	domains     []string
	asks        []string // NAME=ADDRESS
}

func (m *cloudMachines) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&m.domains, "domain", nil, "a domain of libvirt that has an instance: what is attached to that is plugged into it; may be repeated")
	f.StringVar(&m.uri, "libvirt", "qemu:///system", "the libvirt that has the domains")
	f.StringArrayVar(&m.asks, "asks-from", nil, "DOMAIN=ADDRESS that a domain asks for its metadata from, besides its interfaces' addresses; may be repeated")
	f.StringVar(&m.bridge, "bridge", "", "the bridge that their network cards are plugged into, which stands for all subnets")
}

func (m *cloudMachines) check() error {
	switch {
	case len(m.domains) > 0 && m.bridge == "":
		return daemon.UsageError{Err: errors.New("--domain needs --bridge, which network cards are plugged into")}
	case len(m.domains) == 0 && m.bridge != "":
		return daemon.UsageError{Err: errors.New("--bridge needs --domain: instances without a machine are in memory alone")}
	}
	_, err := m.addresses()
	return err
}

// addresses are those that domains ask for their metadata from.
func (m *cloudMachines) addresses() (map[string]netip.Addr, error) {
	all := map[string]netip.Addr{}
	for _, each := range m.asks {
		name, text, _ := strings.Cut(each, "=")
		addr, err := netip.ParseAddr(text)
		if err != nil || !slices.Contains(m.domains, name) {
			return nil, daemon.UsageError{Err: fmt.Errorf("--asks-from %q: want one of --domain, =, and an address", each)}
		}
		all[name] = addr
	}
	return all, nil
}

// clearTime bounds the taking out of cards at the beginning and at the end.
const clearTime = 30 * time.Second

// open has the cloud's instances stand for the domains. What a cloud left in them
// that was killed is taken out first, and by end what this one leaves.
func (m *cloudMachines) open(ctx context.Context, o *site.Options, log *slog.Logger) (end func() error, err error) {
	if len(m.domains) == 0 {
		return func() error { return nil }, nil
	}
	conn, err := virt.Open(ctx, virt.Options{URI: m.uri, Log: log})
	if err != nil {
		return nil, err
	}
	asks, err := m.addresses()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	domains := map[string]string{}
	for _, name := range m.domains {
		id := plug.InstanceID(name)
		if domains[id] != "" {
			return nil, errors.Join(daemon.UsageError{Err: fmt.Errorf("--domain %s: it is said twice", name)}, conn.Close())
		}
		domains[id] = name
		o.Machines = append(o.Machines, site.Machine{ID: id, Name: name, Addr: asks[name]})
	}
	backend := plug.NewLibvirt(plug.LibvirtOptions{
		Hypervisor: conn, Domains: domains, Log: log,
		Switch: nic.Port{Kind: nic.PortBridge, Name: m.bridge, Model: nic.ModelVirtio},
	})
	o.Cloud.Plugger = backend
	end = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTime)
		defer cancel()
		err := backend.Clear(ctx)
		backend.Close()
		return errors.Join(err, conn.Close())
	}
	first, cancel := context.WithTimeout(ctx, clearTime)
	defer cancel()
	if err := backend.Clear(first); err != nil {
		backend.Close()
		return nil, errors.Join(err, conn.Close())
	}
	return end, nil
}
