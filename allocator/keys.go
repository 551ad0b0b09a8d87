package allocator

import (
	"net/netip"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// The store's layout. Every value is JSON.
//
//	nic/ID                      nic.NIC
//	claim/ID                    nic.Claim
//	owner/NODE/KIND/SANDBOX/IF  the claim's id: the owner index
//	addr/SPACE/ADDRESS          the claim's id: one holder per address
//	mac/MAC                     the claim's id: one holder per MAC
//	on/NODE/ID                  the NIC's id: what a node has or is to have
//	node/NAME                   nic.Node
//	observed/ID                 nic.Observed, by NIC
//	ledger/PROVIDER/KEY         a provider's own memory
const (
	nicPrefix   = "nic/"
	claimPrefix = "claim/"
	nodePrefix  = "node/"
	ownerRoot   = "owner/"
)

func nicKey(id nic.ID) string        { return nicPrefix + string(id) }
func claimKey(id nic.ClaimID) string { return claimPrefix + string(id) }
func ownerKey(o nic.Owner) string    { return ownerRoot + o.Key() }
func ownerPrefix(node string) string { return ownerRoot + node + "/" }
func macKey(mac nic.MAC) string      { return "mac/" + mac.String() }
func nodeKey(name string) string     { return nodePrefix + name }
func observedKey(id nic.ID) string   { return "observed/" + string(id) }

func addrKey(space string, addr netip.Addr) string {
	return "addr/" + space + "/" + addr.String()
}

func onPrefix(node string) string           { return "on/" + node + "/" }
func onKey(node string, id nic.ID) string   { return onPrefix(node) + string(id) }
func ledgerKey(provider, key string) string { return "ledger/" + provider + "/" + key }

// addrOfKey is the address of an addr/ key; the zero Addr for any other.
func addrOfKey(key string) netip.Addr {
	addr, _ := netip.ParseAddr(key[strings.LastIndexByte(key, '/')+1:])
	return addr
}
