package traffic

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestToolsAreRead(t *testing.T) {
	d, err := UDP([]byte(`{"end":{"sum":{"seconds":2.0,"packets":3000,"lost_packets":1000}}}`), nil)
	if d.Sent() != 1500 || d.Got() != 1000 || d.LostPPM() != 333333 || err != nil {
		t.Errorf("UDP: %d sent, %d received, %d ppm lost, %v", d.Sent(), d.Got(), d.LostPPM(), err)
	}
	if rate, err := TCP([]byte(`{"end":{"sum_received":{"bits_per_second":495000000}}}`), nil); rate != 495000 || err != nil {
		t.Errorf("TCP: %d, %v", rate, err)
	}
	middle, slow, err := RTT("sockperf: ---> percentile 99.000 =  812.441\nsockperf: ---> percentile 50.000 =  205.100\n", nil)
	if middle != 205 || slow != 812 || err != nil {
		t.Errorf("round trip: %d, %d, %v", middle, slow, err)
	}
	broken := errors.New("exit status 1")
	if _, err := UDP([]byte(`{"error":"unable to connect to server: Connection refused"}`), broken); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want iperf3's word", err)
	}
	if _, err := TCP(nil, broken); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, _, err := RTT("sockperf: no messages", nil); err == nil {
		t.Error("percentiles out of nothing")
	}
	if d, err := UDP([]byte(`{}`), nil); err == nil || d.Sent() != 0 {
		t.Errorf("%d packets per no second, %v", d.Sent(), err)
	}
}

// What each client of several has sent is in what they say together.
func TestRates(t *testing.T) {
	t.Parallel()
	said := "sockperf: Summary: Message Rate is 44871 [msg/sec]\nsockperf: Summary: BandWidth is 2.739 MBps (21.910 Mbps)\n"
	if got := Rates(said + said + "sockperf: Test ended\n"); !slices.Equal(got, []int64{44871, 44871}) {
		t.Errorf("%v", got)
	}
}
