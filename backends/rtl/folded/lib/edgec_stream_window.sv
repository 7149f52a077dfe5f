// A line buffer, and the walk of a window over it: the words of every window, PASSES times each, one a cycle.
//
// Pixels come row by row, GROUPS words each, and lie in a ring of PIXELS pixels. `stored` counts the pixels from the
// origin of the present window on: a window starts when all of it is stored, a pixel is taken when it finds a place.
// When a window is finished its origin moves on, which frees what no later window reads. Pixels behind the last window
// are skipped: `stored` is then negative for a while.
//
// A tap is read where `fire` is high; its word stands in `tap_data` after the clock edge, until `advance` lets the
// next one follow.
`default_nettype none
module edgec_stream_window #(
  parameter WIDTH = 8,          // bits of a word
  parameter GROUPS = 1,         // words of a pixel
  parameter IN_HEIGHT = 1,
  parameter IN_WIDTH = 1,
  parameter OUT_HEIGHT = 1,
  parameter OUT_WIDTH = 1,
  parameter KERNEL_HEIGHT = 1,
  parameter KERNEL_WIDTH = 1,
  parameter STRIDE_HEIGHT = 1,
  parameter STRIDE_WIDTH = 1,
  parameter PASSES = 1,
  parameter BY_GROUP = 0,       // 1: pass p reads word p of each pixel only, and PASSES is GROUPS
  parameter PIXELS = 2,         // size of the ring
  parameter PASS_BITS = 1,
  parameter TAP_BITS = 1        // of PASSES * taps numbers
) (
  input  wire clk,
  input  wire rst,
  input  wire in_valid,
  output wire in_ready,
  input  wire [WIDTH-1:0] in_data,
  input  wire advance,
  output wire fire,
  output wire [PASS_BITS-1:0] pass,
  output wire [TAP_BITS-1:0] tap, // through all passes
  output reg  tap_valid,
  output reg  tap_first,
  output reg  tap_last,
  output reg  [WIDTH-1:0] tap_data
);
  localparam RUN = KERNEL_WIDTH * (BY_GROUP != 0 ? 1 : GROUPS); // taps in a row of the kernel
  localparam TAPS = KERNEL_HEIGHT * RUN * PASSES;
  localparam NEXT = BY_GROUP != 0 ? GROUPS : 1;                 // from tap to tap
  localparam SPAN = (KERNEL_HEIGHT - 1) * IN_WIDTH + KERNEL_WIDTH;
  localparam ROW_PIXELS = STRIDE_HEIGHT * IN_WIDTH;
  localparam FRAME_PIXELS = IN_HEIGHT * IN_WIDTH - (OUT_HEIGHT - 1) * ROW_PIXELS;
  localparam BACK = (OUT_WIDTH - 1) * STRIDE_WIDTH;
  localparam DEPTH = PIXELS * GROUPS;
  localparam PLACE_BITS = $clog2(OUT_HEIGHT + OUT_WIDTH + 1);
  localparam ADDRESS_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam STORED_BITS = $clog2((PIXELS > IN_HEIGHT * IN_WIDTH ? PIXELS : IN_HEIGHT * IN_WIDTH) + 1) + 1; // signed
  // Steps in the ring, all below DEPTH.
  localparam [31:0] LIMIT = DEPTH;
  localparam [31:0] ONE = 1 % DEPTH;
  localparam [31:0] STEP_TAP = NEXT % DEPTH;
  localparam [31:0] STEP_LINE = (IN_WIDTH * GROUPS - (RUN - 1) * NEXT) % DEPTH;
  localparam [31:0] STEP_COLUMN = (STRIDE_WIDTH * GROUPS) % DEPTH;
  localparam [31:0] STEP_ROW = (ROW_PIXELS * GROUPS) % DEPTH;
  localparam [31:0] STEP_FRAME = (FRAME_PIXELS * GROUPS) % DEPTH;
  // Pixels that a finished window frees.
  localparam [31:0] FREE_COLUMN = STRIDE_WIDTH;
  localparam [31:0] FREE_ROW = ROW_PIXELS - BACK;
  localparam [31:0] FREE_FRAME = FRAME_PIXELS - BACK;
  localparam [31:0] NEEDED = SPAN;
  localparam [31:0] ROOM = PIXELS;

  function [ADDRESS_BITS-1:0] on(input [ADDRESS_BITS-1:0] from, input [ADDRESS_BITS:0] distance);
    reg [ADDRESS_BITS:0] sum;
    begin
      sum = {1'b0, from} + distance;
      if (sum >= LIMIT[ADDRESS_BITS:0]) sum = sum - LIMIT[ADDRESS_BITS:0];
      on = sum[ADDRESS_BITS-1:0];
    end
  endfunction

  reg [WIDTH-1:0] memory [0:DEPTH-1];
  reg signed [STORED_BITS-1:0] stored;

  // Writing.
  wire [ADDRESS_BITS-1:0] put_at, put_word;
  wire put_end, pixel_end;
  wire put = in_valid && in_ready;
  assign in_ready = stored < $signed(ROOM[STORED_BITS-1:0]);
  edgec_count #(.N(DEPTH), .BITS(ADDRESS_BITS)) puts
    (.clk(clk), .rst(rst), .step(put), .count(put_at), .last(put_end));
  edgec_count #(.N(GROUPS), .BITS(ADDRESS_BITS)) words
    (.clk(clk), .rst(rst), .step(put), .count(put_word), .last(pixel_end));

  // Reading: taps of a line, lines of the kernel, passes, columns and rows of windows.
  wire line_end, lines_end, passes_end, columns_end, rows_end, window_end;
  wire [TAP_BITS-1:0] line_tap, line;
  wire [PLACE_BITS-1:0] column, row;
  wire window_done = fire && window_end;
  wire pass_done = fire && line_end && lines_end;
  assign fire = advance && stored >= $signed(NEEDED[STORED_BITS-1:0]);
  edgec_count #(.N(TAPS), .BITS(TAP_BITS)) taps
    (.clk(clk), .rst(rst), .step(fire), .count(tap), .last(window_end));
  edgec_count #(.N(RUN), .BITS(TAP_BITS)) line_taps
    (.clk(clk), .rst(rst), .step(fire), .count(line_tap), .last(line_end));
  edgec_count #(.N(KERNEL_HEIGHT), .BITS(TAP_BITS)) lines
    (.clk(clk), .rst(rst), .step(fire && line_end), .count(line), .last(lines_end));
  edgec_count #(.N(PASSES), .BITS(PASS_BITS)) passes
    (.clk(clk), .rst(rst), .step(pass_done), .count(pass), .last(passes_end));
  edgec_count #(.N(OUT_WIDTH), .BITS(PLACE_BITS)) columns
    (.clk(clk), .rst(rst), .step(window_done), .count(column), .last(columns_end));
  edgec_count #(.N(OUT_HEIGHT), .BITS(PLACE_BITS)) rows
    (.clk(clk), .rst(rst), .step(window_done && columns_end), .count(row), .last(rows_end));

  // Addresses of the origin of the row of windows, of the window, of the pass, of the tap.
  reg [ADDRESS_BITS-1:0] row_origin, origin, pass_start, address;
  wire [ADDRESS_BITS-1:0] next_row = on(row_origin, rows_end ? STEP_FRAME[ADDRESS_BITS:0] : STEP_ROW[ADDRESS_BITS:0]);
  wire [ADDRESS_BITS-1:0] next_origin = columns_end ? next_row : on(origin, STEP_COLUMN[ADDRESS_BITS:0]);
  wire [ADDRESS_BITS-1:0] next_start =
    passes_end ? next_origin : BY_GROUP != 0 ? on(pass_start, ONE[ADDRESS_BITS:0]) : pass_start;
  wire [ADDRESS_BITS-1:0] next_address = line_end && lines_end ? next_start
    : on(address, line_end ? STEP_LINE[ADDRESS_BITS:0] : STEP_TAP[ADDRESS_BITS:0]);
  wire [STORED_BITS-1:0] freed = !window_done ? {STORED_BITS{1'b0}} : !columns_end ? FREE_COLUMN[STORED_BITS-1:0]
    : rows_end ? FREE_FRAME[STORED_BITS-1:0] : FREE_ROW[STORED_BITS-1:0];
  wire [STORED_BITS-1:0] came = {{(STORED_BITS-1){1'b0}}, put && pixel_end};
  wire first_tap = line_tap == {TAP_BITS{1'b0}} && line == {TAP_BITS{1'b0}};
  wire unused = &{1'b0, put_end, put_word, column, row};

  always @(posedge clk) begin
    if (rst) begin
      stored <= {STORED_BITS{1'b0}};
      {row_origin, origin, pass_start, address} <= {(4*ADDRESS_BITS){1'b0}};
      tap_valid <= 1'b0;
    end else begin
      stored <= stored + $signed(came) - $signed(freed);
      if (fire) address <= next_address;
      if (pass_done) pass_start <= next_start;
      if (window_done) origin <= next_origin;
      if (window_done && columns_end) row_origin <= next_row;
      if (advance) tap_valid <= fire;
    end
    if (fire) begin
      tap_first <= first_tap;
      tap_last <= line_end && lines_end;
      tap_data <= memory[address];
    end
    if (put) memory[put_at] <= in_data;
  end
endmodule
`default_nettype wire
