/* What Swift's Glibc module leaves out: entering a network namespace (sched.h shows it only with _GNU_SOURCE) and the
   addresses of packet sockets. */
#include <linux/if_ether.h>
#include <linux/if_packet.h>

int setns(int descriptor, int type);
