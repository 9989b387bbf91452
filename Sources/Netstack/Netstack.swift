// Netstack
