// WebSocket client with state management
class SmartMoneyWSClient extends EventTarget {
  constructor(apiKey, options = {}) {
    super();
    this.apiKey = apiKey;
    this.url = 'wss://api.smartmoneyapi.com/ws';
    this.ws = null;
    this.isConnected = false;
    this.subscriptions = new Set();
    this.messageBuffer = [];
    this.reconnectAttempts = 0;
    this.maxReconnectAttempts = options.maxReconnectAttempts || 10;
    this.reconnectDelay = options.reconnectDelay || 5000;
  }
  connect() {
    try {
      this.ws = new WebSocket(this.url);
      this.ws.onopen = () => this.handleOpen();
      this.ws.onmessage = (event) => this.handleMessage(event);
      this.ws.onerror = (error) => this.handleError(error);
      this.ws.onclose = () => this.handleClose();
    } catch (error) {
      console.error('Connection error:', error);
      this.scheduleReconnect();
    }
  }
  handleOpen() {
    console.log('WebSocket connected');
    this.isConnected = true;
    this.reconnectAttempts = 0;
    // Authenticate
    this.send({
      type: 'auth',
      api_key: this.apiKey
    });
    // Process buffered messages
    while (this.messageBuffer.length > 0) {
      const msg = this.messageBuffer.shift();
      this.send(msg);
    }
    // Emit connected event
    this.dispatchEvent(new CustomEvent('connected'));
  }
  handleMessage(event) {
    try {
      const data = JSON.parse(event.data);
      // Dispatch typed events
      const eventType = `message:${data.type}`;
      this.dispatchEvent(new CustomEvent(eventType, { detail: data }));
      // Emit generic message event
      this.dispatchEvent(new CustomEvent('message', { detail: data }));
    } catch (error) {
      console.error('Message parse error:', error);
    }
  }
  handleError(error) {
    console.error('WebSocket error:', error);
    this.dispatchEvent(new CustomEvent('error', { detail: error }));
  }
  handleClose() {
    console.log('WebSocket closed');
    this.isConnected = false;
    this.dispatchEvent(new CustomEvent('disconnected'));
    this.scheduleReconnect();
  }
  scheduleReconnect() {
    if (this.reconnectAttempts < this.maxReconnectAttempts) {
      this.reconnectAttempts++;
      const delay = this.reconnectDelay * Math.pow(2, this.reconnectAttempts - 1);
      console.log(`Reconnecting in ${delay}ms (attempt ${this.reconnectAttempts})`);
      setTimeout(() => this.connect(), delay);
    } else {
      console.error('Max reconnection attempts reached');
      this.dispatchEvent(new CustomEvent('max_reconnect_failed'));
    }
  }
  send(message) {
    if (this.isConnected && this.ws.readyState === WebSocket.OPEN) {
      this.ws.send(JSON.stringify(message));
    } else {
      // Buffer message for later
      this.messageBuffer.push(message);
    }
  }
  subscribe(channel) {
    this.send({
      type: 'subscribe',
      channel: channel
    });
    this.subscriptions.add(channel);
  }
  unsubscribe(channel) {
    this.send({
      type: 'unsubscribe',
      channel: channel
    });
    this.subscriptions.delete(channel);
  }
  close() {
    this.isConnected = false;
    if (this.ws) {
      this.ws.close();
    }
  }
}
// Usage with event listeners
const ws = new SmartMoneyWSClient('your_api_key');
ws.addEventListener('connected', () => {
  console.log('Connected!');
  ws.subscribe('whales:BTC');
  ws.subscribe('derivatives:liquidations');
});
ws.addEventListener('message:whale_update', (event) => {
  console.log('Whale update:', event.detail);
});
ws.addEventListener('message:liquidation', (event) => {
  console.log('Liquidation:', event.detail);
});
ws.addEventListener('error', (event) => {
  console.error('Error:', event.detail);
});
ws.connect();
