package libvirt

import (
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// AliasPrefix begins the aliases of our cards. libvirt keeps an alias that
// begins with "ua-" in both definitions of a domain.
const AliasPrefix = "ua-nicferry-"

func alias(id nic.ID) string { return AliasPrefix + string(id) }

// ours returns the NIC that an alias names, if it is one of ours.
func ours(alias string) (nic.ID, bool) {
	text, ok := strings.CutPrefix(alias, AliasPrefix)
	if !ok {
		return "", false
	}
	id, err := nic.ParseID(text)
	return id, err == nil
}

// A site is a domain that has the NIC, in one of its definitions or in both.
type site struct {
	domain       virt.Domain
	live, stored *virt.Interface
}

// card is the site's card, as it is plugged in now where it is.
func (s site) card() virt.Interface {
	if s.live != nil {
		return *s.live
	}
	return *s.stored
}

// String reads "vm1 (live and stored)".
func (s site) String() string {
	switch {
	case s.stored == nil && !s.domain.Transient:
		return s.domain.Name + " (running, not in its stored definition)"
	case s.live == nil && s.domain.State != virt.Off:
		return s.domain.Name + " (in its stored definition only)"
	}
	return s.domain.Name
}

// find returns where the NIC is. mac is zero for a NIC without a record, which
// is known by its alias alone.
func find(domains []virt.Domain, id nic.ID, mac nic.MAC) []site {
	var sites []site
	for _, d := range domains {
		s := site{domain: d, live: pick(d.Live, id, mac), stored: pick(d.Stored, id, mac)}
		if s.live != nil || s.stored != nil {
			sites = append(sites, s)
		}
	}
	return sites
}

func pick(cards []virt.Interface, id nic.ID, mac nic.MAC) *virt.Interface {
	for i := range cards {
		if isOurs(cards[i], alias(id), mac) {
			return &cards[i]
		}
	}
	return nil
}

// answers says whether the domain is what the config calls instance.
func answers(d virt.Domain, instance nic.InstanceID) bool {
	return instance != "" && (d.UUID == string(instance) || d.Name == string(instance))
}

// at says whether the step was done at the domain: that very one, or another
// that has its name now.
func at(s ledgerlog.Step, d virt.Domain) bool {
	return s.Machine != "" && s.Machine == d.UUID || answers(d, s.Place.Instance)
}

// placed returns the site that the step was done at, or the first.
func placed(sites []site, last ledgerlog.Step) (site, bool) {
	for _, s := range sites {
		if at(last, s.domain) {
			return s, true
		}
	}
	if len(sites) > 0 {
		return sites[0], true
	}
	return site{}, false
}

// under returns the site that is meant by instance.
func under(sites []site, last ledgerlog.Step, instance nic.InstanceID) (site, bool) {
	for _, s := range sites {
		if s.domain.UUID == last.Machine && last.Place.Instance == instance {
			return s, true
		}
	}
	for _, s := range sites {
		if answers(s.domain, instance) {
			return s, true
		}
	}
	return site{}, false
}

// recent says whether it was less than that long ago, or is to be as soon: clocks
// of two controllers differ. What is further ahead was written before the clock
// was set back, and is old.
func recent(at time.Time, within time.Duration) bool { return time.Since(at).Abs() < within }

// underway says whether a plug that is in no domain yet may still come: a call
// of this or another controller has recorded it and not ended.
func underway(last ledgerlog.Step, domains []virt.Domain) bool {
	if last.Do != ledgerlog.Attach || !recent(last.At, worstCall) {
		return false
	}
	for _, d := range domains {
		if d.UUID == last.Machine {
			return true
		}
	}
	return false
}
