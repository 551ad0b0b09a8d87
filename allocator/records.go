package allocator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// ReadRecords reads all records of a store as of one revision, for whoever
// holds them against what must always hold.
func ReadRecords(ctx context.Context, s store.Store) (invariant.Records, error) {
	r := invariant.Records{
		Owners: map[string]string{}, MACs: map[string]string{}, Addrs: map[string]string{}, On: map[string]string{}, Seats: map[string]string{},
	}
	all, _, err := s.List(ctx, "", "", 0)
	if err != nil {
		return r, fmt.Errorf("read all records: %w", err)
	}
	indexes := map[string]map[string]string{ownerRoot: r.Owners, macPrefix: r.MACs, addrPrefix: r.Addrs, onRoot: r.On, seatRoot: r.Seats}
	for _, record := range all {
		kind, rest, _ := strings.Cut(record.Key, "/")
		switch kind += "/"; kind {
		case nicPrefix:
			r.NICs, err = decoded(r.NICs, record)
		case claimPrefix:
			r.Claims, err = decoded(r.Claims, record)
		case observedPrefix:
			r.Observed, err = decoded(r.Observed, record)
		case publicPrefix:
			r.Public, err = decoded(r.Public, record)
		case nodePrefix:
			r.Nodes, err = decoded(r.Nodes, record)
		default:
			if index := indexes[kind]; index != nil {
				index[rest] = indexed(record.Value)
			}
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// indexed is what an index record points to: the claim or NIC that it says. A
// reservation that nobody holds at present points to none.
func indexed(value []byte) string {
	var id string
	if json.Unmarshal(value, &id) == nil {
		return id
	}
	var held struct {
		Claim string `json:"claim"`
		Owner string `json:"owner"`
	}
	if json.Unmarshal(value, &held) == nil {
		return cmp.Or(held.Claim, string(nicIDOf(held.Owner)))
	}
	return string(value)
}

func decoded[T nic.NIC | nic.Claim | nic.Observed | nic.Node | nic.Publication](to []T, record store.Record) ([]T, error) {
	v, err := store.DecodeJSON[T](record)
	return append(to, v), err
}
