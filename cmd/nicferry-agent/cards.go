//go:build linux

package main

import (
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vfio"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/device"
)

// vfNotes is where it is noted who has which VF. A boot empties it, as it does cards.
func vfNotes(runDir string) string { return filepath.Join(runDir, "vf") }

// useCards has the agent serve the machine's cards, until end. running is the agent, once
// it is there.
func useCards(opts *vmagent.Options, numbering sriov.Numbering, running *atomic.Pointer[vmagent.Agent]) (end func()) {
	functions, stop := openFunctions(opts.Host, opts.Inventory.Boot, opts.RunDir, func(id nic.ID) bool {
		agent := running.Load()
		return agent != nil && agent.Unwanted(id)
	}, opts.Log)
	name, leave := openNamer(opts.Host, opts.RunDir, opts.Log)
	tree := sysfs.New(sysfs.Options{})
	opts.Cards, opts.Processors = settable(cardsOf(tree, numbering, name), linksOf(opts.Host), opts.Log), tree.Processors
	opts.Functions, opts.RDMA = functions, rdma{}
	return func() {
		leave()
		stop()
	}
}

// cardsOf looks at the machine's cards as the controller is told of them, and has VFs
// named that nobody has. Who has a VF in another network namespace is not asked: that
// means to go into each of them.
func cardsOf(tree *sysfs.Tree, numbering sriov.Numbering, name func([]sriov.PF, map[sriov.Address]string)) func() ([]nic.Card, error) {
	return func() ([]nic.Card, error) {
		pfs, err := tree.List()
		if err != nil {
			return nil, err
		}
		names, err := numbering.Names(pfs)
		if err != nil {
			return nil, err
		}
		name(pfs, names)
		return sriov.Cards(pfs, names), nil
	}
}

// settable leaves the cards out that cannot be set since the kernel does not say which
// interface is theirs, as before Linux 5.14: a VF of theirs would be given out in vain. A
// kernel that has said it once is not asked again: links may be many.
func settable(look func() ([]nic.Card, error), links func() ([]link.Link, error), log *slog.Logger) func() ([]nic.Card, error) {
	var once sync.Once
	var tells atomic.Bool
	return func() ([]nic.Card, error) {
		cards, err := look()
		if err != nil || len(cards) == 0 || tells.Load() {
			return cards, err
		}
		all, err := links()
		if err != nil {
			return nil, err
		}
		tells.Store(slices.ContainsFunc(all, func(l link.Link) bool { return l.PCI != "" }))
		known := slices.DeleteFunc(cards, func(c nic.Card) bool { return untold(c, all) })
		if len(known) < len(cards) {
			once.Do(func() {
				log.Warn("virtual functions of cards are not given to containers: this kernel does not say which interface is a card's; take Linux 5.14 or newer")
			})
		}
		return known, nil
	}
}

// linksOf lists the links of a namespace.
func linksOf(ns *netns.Namespace) func() ([]link.Link, error) {
	return func() ([]link.Link, error) {
		h, err := link.Open(ns)
		if err != nil {
			return nil, err
		}
		defer h.Close()
		return h.Links()
	}
}

// untold says whether a card's interface is there, and the kernel does not say that it is
// the card's.
func untold(c nic.Card, links []link.Link) bool {
	return c.Name != "" && slices.ContainsFunc(links, func(l link.Link) bool { return l.HasName(c.Name) && l.PCI == "" })
}

// rdma moves the machine's RDMA devices.
type rdma struct {
	link.RDMA
	vf.Sysfs
}

// openFunctions opens what sets the machine's VFs. gone says of which NICs it is certain
// that they are wanted here no more. Without it the agent does all else: then it is nil,
// and the log says why.
func openFunctions(host *netns.Namespace, boot, runDir string, gone func(nic.ID) bool, log *slog.Logger) (f device.Functions, end func()) {
	h, err := link.Open(host)
	if err == nil {
		var setter *vf.Setter
		setter, err = vf.New(vf.Options{Kernel: h, Bus: vf.Sysfs{}, Dir: vfNotes(runDir), Boot: boot, Gone: gone, UserSpace: vfio.New(vfio.Options{}), Log: log})
		if err == nil {
			return setter, h.Close
		}
		h.Close()
	}
	log.Warn("virtual functions of cards are not given to containers", "err", err)
	return nil, func() {}
}
