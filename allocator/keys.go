package allocator

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/nic"
)

// The store's layout. Every value is JSON.
//
//	nic/ID                      nic.NIC
//	claim/ID                    nic.Claim
//	owner/NODE/KIND/SANDBOX/IF  the claim's id: the owner index
//	addr/SPACE/ADDRESS          nic.Reservation: one holder per address
//	mac/MAC                     nic.Reservation: one holder per MAC
//	number/KIND/SCOPE/N         nic.Reservation: one holder per VLAN id, VNI or key
//	numberof/KIND/SCOPE/OWNER   the number that OWNER has
//	kept/NODE/IF/NAME           nic.Kept: what a container name has
//	moving/NODE/IF/NAME         the id of the claim on its way to a container of that name
//	reserved/NODE/IF/NAME       the id of the claim that waits for a container of that name
//	moved/NODE/SANDBOX/IF       moved: what a container has given away
//	on/NODE/ID                  the NIC's id: what a node has or is to have
//	seat/NIC/ADDRESS            nic.Reservation: who has the seat with that address on the NIC, or is to
//	seat/NIC/ID                 nic.Reservation: who waits for a seat on the NIC
//	carriers/NODE/NETWORK/TENANT  carriers: the NICs that they share there
//	node/NAME                   nic.Node
//	observed/ID                 nic.Observed, by NIC
//	public/ID                   nic.Publication, by claim
//	ledger/PROVIDER/KEY         a provider's own memory
const (
	nicPrefix   = "nic/"
	claimPrefix = "claim/"
	nodePrefix  = "node/"
	ownerRoot   = "owner/"
	onRoot      = "on/"
	ledgerRoot  = "ledger/"

	addrPrefix     = "addr/"
	macPrefix      = "mac/"
	numberPrefix   = "number/"
	numberOfPrefix = "numberof/"
	keptPrefix     = "kept/"
	movingPrefix   = "moving/"
	movedPrefix    = "moved/"
	reservedPrefix = "reserved/"
	observedPrefix = "observed/"
	publicPrefix   = "public/"
	seatRoot       = "seat/"
	carriersPrefix = "carriers/"
)

func nicKey(id nic.ID) string        { return nicPrefix + string(id) }
func claimKey(id nic.ClaimID) string { return claimPrefix + string(id) }
func ownerKey(o nic.Owner) string    { return ownerRoot + o.Key() }
func ownerPrefix(node string) string { return ownerRoot + node + "/" }
func macKey(mac nic.MAC) string      { return macPrefix + mac.String() }
func nodeKey(name string) string     { return nodePrefix + name }
func observedKey(id nic.ID) string   { return observedPrefix + string(id) }

func publicKey(id nic.ClaimID) string { return publicPrefix + string(id) }

func addrKey(space string, addr netip.Addr) string {
	return addrPrefix + space + "/" + addr.String()
}

func seatsOf(carrier nic.ID) string { return seatRoot + string(carrier) + "/" }

// seatKey is where it is said who has the seat with an address.
func seatKey(carrier nic.ID, addr netip.Addr) string { return seatsOf(carrier) + addr.String() }

// waitKey is where it is said that a NIC waits for a seat.
func waitKey(carrier, seat nic.ID) string { return seatsOf(carrier) + string(seat) }

func carriersKey(node, network, tenant string) string {
	return carriersPrefix + node + "/" + network + "/" + nic.TenantOf(tenant)
}

func onPrefix(node string) string           { return onRoot + node + "/" }
func onKey(node string, id nic.ID) string   { return onPrefix(node) + string(id) }
func ledgerKey(provider, key string) string { return ledgerRoot + provider + "/" + key }

func numberKey(kind ipam.NumberKind, scope string, n ipam.Number) string {
	return fmt.Sprintf("%s%s/%s/%010d", numberPrefix, kind, scope, n)
}

func numberOfKey(kind ipam.NumberKind, scope, owner string) string {
	return fmt.Sprintf("%s%s/%s/%s", numberOfPrefix, kind, scope, owner)
}

func parseNumber(text string) (ipam.Number, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return ipam.Number(n), err == nil
}

// maxContainerName bounds the names that identities are kept for, in bytes.
// Docker itself sets no bound.
const maxContainerName = 255

// keptKey is where the identity of a container's name is kept; "" if it is none
// that Docker gives. It is also what a reservation's owner is called.
func keptKey(o nic.Owner, container string) string {
	if container == "" || len(container) > maxContainerName ||
		strings.Trim(container, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "" {
		return ""
	}
	return keptOf(o.Node) + o.Interface + "/" + container
}

func movedOf(node string) string { return movedPrefix + node + "/" }

// movedKey is where it is said that a container has given its claim away.
func movedKey(from nic.Owner) string {
	return movedOf(from.Node) + from.Sandbox + "/" + from.Interface
}

func keptOf(node string) string { return keptPrefix + node + "/" }
