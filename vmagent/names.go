package vmagent

import (
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
	"github.com/nicferry/nicferry/vmagent/etc"
)

// writeNames brings a running container's resolv.conf and hosts up to date with
// all its NICs. What goes wrong there is told and not more: the container can
// bring it about at will, and a card without names is better than none.
func (a *Agent) writeNames(c *containers.Container, wishes []nic.Wanted, said *nic.Observed) {
	if c == nil || !c.Running || c.SharesNetwork() || c.HostsPath == "" && c.ResolvConfPath == "" {
		return
	}
	files := etc.Files{ResolvConf: c.ResolvConfPath, Hosts: c.HostsPath}
	var cards []etc.NIC
	for _, w := range staying(wishes) {
		p := a.plugs.of(w)
		cards = append(cards, etc.NIC{
			Interface: w.Owner.Interface, DefaultRoute: w.Layer3.DefaultRoute,
			DNS: append([]nic.DNS{w.Layer3.DNS}, p.leaseDNS...), Addrs: p.layer3.Addrs,
		})
	}
	var err error
	if len(cards) == 0 {
		err = etc.Remove(files)
	} else {
		want := etc.Merge(c.Hostname, c.Domainname, cards)
		want.UserDNS, want.UserSearch = c.UserDNS, c.UserSearch
		_, err = etc.Apply(files, want)
	}
	if err != nil {
		nic.SetCondition(&said.Conditions, nic.Condition{
			Reason: nic.ReasonNodeError, Message: fmt.Sprintf("names not written into the container: %v", err),
		})
	}
}
