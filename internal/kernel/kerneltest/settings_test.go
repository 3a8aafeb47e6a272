package kerneltest

import "testing"

func TestSettingsFake(t *testing.T) { RunSettings(t, NewSettings()) }
