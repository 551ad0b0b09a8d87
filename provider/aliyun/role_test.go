package aliyun

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// TestNICsOfARole: NICs live on while the keys of the instance's role, which are taken from
// its metadata with tokens alone, come and go.
func TestNICsOfARole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vendor()
		v.Face = func(w *enitest.World) func(int) *eni.Provider {
			service := imds.New(imds.Options{Source: w.Cloud, Dialect: imds.ECS(), Role: func(string) string { return "controller" }, KeysLast: time.Hour})
			dial := enitest.Serve(t, ecs.New(ecs.Options{Cloud: w.Cloud, Keys: func(access string) (ecs.Key, bool) {
				k, ok := service.Key(access)
				return ecs.Key{Secret: k.Secret, Token: k.Session, Expires: k.Expires}, ok
			}}))
			m, err := metadata.New(metadata.Options{Dialect: metadata.ECS(), Log: slog.New(slog.DiscardHandler), Dial: enitest.Serve(t, service.Handler(string(w.VMs[0])))})
			w.Must(err)
			t.Cleanup(m.Close)
			role := func(ctx context.Context) (acs.Key, error) {
				k, err := m.Keys(ctx)
				return acs.Key{Access: k.Access, Secret: k.Secret, Token: k.Token}, err
			}
			return func(int) *eni.Provider { return with(w, dial, func(o *Options) { o.Keys = role }).Provider }
		}
		w := enitest.Open(t, v, cloudsim.Options{})
		for n := range 4 {
			w.Live(enitest.ID(n), func() { time.Sleep(20 * time.Minute) })
		}
		w.Clean(4)
	})
}
