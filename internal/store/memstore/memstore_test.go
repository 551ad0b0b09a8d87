package memstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Opened {
		const history = 16
		s := memstore.New(memstore.Options{History: history})
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return storetest.Opened{Store: s, History: history}
	})
}
