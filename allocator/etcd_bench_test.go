package allocator_test

import (
	"testing"

	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
	"github.com/nicferry/nicferry/internal/store/fenced"
)

// BenchmarkClaimsOnEtcd measures claims with an address and a MAC of the controller's
// choice and a NIC that the node makes, each durable on one local etcd, with fsync,
// before it is answered; the controller works on them meanwhile.
//
//	go test ./allocator -run '^$' -bench ClaimsOnEtcd -benchtime 5000x
func BenchmarkClaimsOnEtcd(b *testing.B) {
	eachClients(b, func(b *testing.B) *claimRig {
		c := etcdtest.Start(b, etcdtest.Options{Program: etcdtest.Current(b), Sync: true})
		s, err := etcdstore.Open(b.Context(), etcdstore.Options{Endpoints: c.Endpoints})
		if err != nil {
			b.Fatal(err)
		}
		term, err := s.Lead(b.Context(), "controller")
		if err != nil {
			b.Fatal(err)
		}
		records := fenced.New(s, term)
		return newClaimRig(b, records, records.Holds)
	})
}
